// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "../access/IAccess.sol";

/// @title Anchors: Merkle roots of what is kept off the chain
/// @notice kind: 1 access log 访问日志, 2 location fixes 定位点, 3 bulk evidence 批量证据, 4 erasure attestations 销毁声明.
interface IAnchors is IAccess {
    event Anchored(uint16 indexed organisation, uint16 indexed kind, uint64 indexed interval, bytes32 root, bytes16 by);

    error KindInvalid(uint16 got);
    error RootInvalid(bytes32 got);
    error AlreadyAnchored(uint16 organisation, uint16 kind, uint64 interval, bytes32 root);

    /// @notice A SERVICE anchors the root of one interval (its number is the service's own), once.
    function anchor(uint16 kind, uint64 interval, bytes32 root) external;
    /// @notice 0 = nothing anchored.
    function rootOf(uint16 organisation, uint16 kind, uint64 interval) external view returns (bytes32);
}
