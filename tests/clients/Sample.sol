// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice What client tests need of a contract: a constructor that logs, a transfer, three ways to fail, a way to hang.
contract Sample {
    event Transfer(address indexed from, address indexed to, uint256 value);

    error NotEnough(uint256 got, uint256 wanted);

    mapping(address => uint256) public balanceOf;

    constructor() {
        balanceOf[msg.sender] = 1e24;
        emit Transfer(address(0), msg.sender, 1e24);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        require(to != address(0), "no such address");
        uint256 balance = balanceOf[msg.sender];
        if (balance < value) revert NotEnough(balance, value);
        unchecked {
            balanceOf[msg.sender] = balance - value;
            balanceOf[to] += value;
        }
        emit Transfer(msg.sender, to, value);
        return true;
    }

    /// @notice Anybody may have some: a receiver of calls from senders that hold nothing.
    function mint(uint256 value) external {
        balanceOf[msg.sender] += value;
        emit Transfer(address(0), msg.sender, value);
    }

    function fail() external pure {
        assert(false);
    }

    function now_() external view returns (uint256 number, uint256 time) {
        return (block.number, block.timestamp);
    }

    function spin() external view returns (uint256 turns) {
        while (gasleft() > 100) turns++;
    }
}
