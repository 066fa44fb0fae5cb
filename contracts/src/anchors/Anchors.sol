// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Access} from "../access/Access.sol";
import {SERVICE, SERVICES} from "../access/Constants.sol";
import {Standing} from "../access/Standing.sol";
import {IAnchors} from "./IAnchors.sol";

/// @title Anchors at its fixed address
contract Anchors is Access, IAnchors {
    using Standing for uint256;

    uint16 internal constant LAST_KIND = 4;

    /// @dev organisation << 80 | kind << 64 | interval => root
    mapping(uint256 => bytes32) private _roots;

    /// @inheritdoc IAnchors
    function anchor(uint16 kind, uint64 interval, bytes32 root) external {
        uint256 word = _standing();
        _require(word, SERVICES, SERVICE);
        if (kind == 0 || kind > LAST_KIND) revert KindInvalid(kind);
        if (root == 0) revert RootInvalid(root);
        uint16 organisation = word.organisation();
        uint256 key = _key(organisation, kind, interval);
        if (_roots[key] != 0) revert AlreadyAnchored(organisation, kind, interval, _roots[key]);
        _roots[key] = root;
        emit Anchored(organisation, kind, interval, root, word.identity());
    }

    /// @inheritdoc IAnchors
    function rootOf(uint16 organisation, uint16 kind, uint64 interval) external view returns (bytes32) {
        return _roots[_key(organisation, kind, interval)];
    }

    function _key(uint16 organisation, uint16 kind, uint64 interval) private pure returns (uint256) {
        return uint256(organisation) << 80 | uint256(kind) << 64 | interval;
    }
}
