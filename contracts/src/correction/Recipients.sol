// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Up to 8 recipients (lanes 0–7) and 8 copies (lanes 8–15) of 16 bits in one word
library Recipients {
    uint256 internal constant LANES = 8;
    uint256 internal constant COPIES_SHIFT = 128;
    uint256 private constant ONES = 0x0001000100010001000100010001000100010001000100010001000100010001;
    uint256 private constant TOPS = 0x8000800080008000800080008000800080008000800080008000800080008000;

    /// @return 0 = not named, 1 = a recipient, 2 = gets a copy.
    function find(uint256 recipients, uint16 party) internal pure returns (uint256) {
        unchecked {
            // A lane equal to `party` becomes zero; the well-known zero-in-word test sets its top bit. It can also set the top
            // bits of lanes above a true zero lane, so the lowest bit found is exact, and that is all that is asked.
            uint256 lanes = recipients ^ (ONES * party);
            uint256 found = (lanes - ONES) & ~lanes & TOPS;
            if (found == 0) return 0;
            return uint128(found) != 0 ? 1 : 2;
        }
    }
}
