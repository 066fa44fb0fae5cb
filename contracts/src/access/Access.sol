// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "./IAccess.sol";
import {IIdentityRegistry} from "../identity/IIdentityRegistry.sol";
import {Standing} from "./Standing.sol";
import {CONSORTIUM, IDENTITY_REGISTRY, SYSTEM} from "./Constants.sol";

/// @title Asks IdentityRegistry who the caller is, once per call, and checks the answer
abstract contract Access is IAccess {
    using Standing for uint256;

    modifier governed() {
        _onlyGoverned();
        _;
    }

    /// @dev At genesis, or as the effect of a vote.
    function _onlyGoverned() internal view {
        if (msg.sender != CONSORTIUM && msg.sender != SYSTEM) revert WrongCaller(msg.sender, CONSORTIUM);
    }

    /// @dev The caller's standing, never 0.
    function _standing() internal view returns (uint256 word) {
        bytes4 selector = IIdentityRegistry.standing.selector;
        address registry = IDENTITY_REGISTRY;
        // Hand-made: the answer is one word of a contract at a fixed address, so no code check and no decoder.
        assembly ("memory-safe") {
            mstore(0, selector)
            mstore(4, caller())
            if iszero(staticcall(gas(), registry, 0, 0x24, 0, 0x20)) { revert(0, 0) }
            word := mload(0)
        }
        if (word == 0) revert NoStanding(msg.sender);
    }

    /// @dev The caller's standing as a deputy of `principal`; principal 0 = as themself.
    function _acting(bytes16 principal) internal view returns (uint256 word) {
        if (principal == 0) return _standing();
        word = IIdentityRegistry(IDENTITY_REGISTRY).standingFor(msg.sender, principal);
        if (word == 0) revert NoStanding(msg.sender);
    }

    /// @dev Refuses unless `word` is of the domain and holds one of the roles.
    function _require(uint256 word, uint8 domain, uint32 roles) internal pure {
        if (word.domain() != domain) revert WrongDomain(word.domain(), domain);
        if (word.roles() & roles == 0) revert RoleMissing(word.roles(), roles);
    }

    function _requireKind(uint256 word, uint256 kinds) internal pure {
        if (kinds >> word.kind() & 1 == 0) revert WrongOrganisationKind(word.kind(), kinds);
    }

    function _requireOrganisation(uint256 word, uint16 organisation) internal pure {
        if (word.organisation() != organisation) revert WrongOrganisation(word.organisation(), organisation);
    }
}
