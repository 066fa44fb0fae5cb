// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// The plain ERC-20 that load tests transfer: what every chain's figures are made with.
contract Token is ERC20 {
    constructor() ERC20("Bench", "BENCH") {
        _mint(msg.sender, 10 ** 30);
    }
}
