// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsortium} from "./IConsortium.sol";
import {Members} from "./Members.sol";

/// @title Whose nodes may connect
/// @dev The list here says whose each node is. The mapping that nodes read while they run says the same, but only while
/// the organisation is active: one slot answers whether a connection is allowed.
abstract contract Peers is Members {
    uint256 internal constant MAXIMUM_PEERS = 128;
    uint256 internal constant MAXIMUM_PEERS_OF_ONE = 16;

    /// @dev Each: node id in the 20 high-order bytes, organisation in the 2 low-order ones.
    bytes32[] private _peers;

    /// @inheritdoc IConsortium
    function setPeer(bytes20 nodeId, uint16 organisation_, bool allowed) external governed {
        if (nodeId == 0) revert PeerInvalid(nodeId);
        (uint256 index, uint16 owner, uint256 own) = _find(nodeId, organisation_);
        if (allowed) {
            if (owner != 0) revert PeerListed(nodeId, owner);
            _requireActive(organisation_);
            if (own == MAXIMUM_PEERS_OF_ONE) revert TooManyPeers(organisation_, MAXIMUM_PEERS_OF_ONE);
            if (_peers.length == MAXIMUM_PEERS) revert TooManyPeers(0, MAXIMUM_PEERS);
            _peers.push(bytes32(nodeId) | bytes32(uint256(organisation_)));
            _admission().peers[nodeId] = organisation_;
        } else {
            if (owner == 0 || owner != organisation_) revert PeerUnknown(nodeId, organisation_);
            _peers[index] = _peers[_peers.length - 1];
            _peers.pop();
            delete _admission().peers[nodeId];
        }
        emit PeerSet(nodeId, organisation_, allowed);
    }

    /// @inheritdoc IConsortium
    function peer(bytes20 nodeId) external view returns (uint16) {
        return _admission().peers[nodeId];
    }

    /// @inheritdoc IConsortium
    function peers(uint256 start, uint256 count)
        external
        view
        returns (uint256 total, bytes20[] memory nodeIds, uint16[] memory owners)
    {
        total = _peers.length;
        uint256 left = start < total ? total - start : 0;
        if (count > left) count = left;
        nodeIds = new bytes20[](count);
        owners = new uint16[](count);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 row = _peers[start + i];
            (nodeIds[i], owners[i]) = (bytes20(row), _ownerIn(row));
        }
    }

    /// @dev Lets every node of the organisation connect, or none.
    function _connectPeers(uint16 organisation_, bool connected) internal {
        mapping(bytes20 => uint16) storage admitted = _admission().peers;
        uint256 length = _peers.length;
        for (uint256 i = 0; i < length; ++i) {
            bytes32 row = _peers[i];
            if (_ownerIn(row) == organisation_) admitted[bytes20(row)] = connected ? organisation_ : 0;
        }
    }

    /// @dev Where the node stands and whose it is (0: nobody's), and how many nodes the organisation has.
    function _find(bytes20 nodeId, uint16 organisation_) private view returns (uint256 index, uint16 owner, uint256 own) {
        uint256 length = _peers.length;
        for (uint256 i = 0; i < length; ++i) {
            bytes32 row = _peers[i];
            uint16 rowOwner = _ownerIn(row);
            if (rowOwner == organisation_) ++own;
            if (bytes20(row) == nodeId) (index, owner) = (i, rowOwner);
        }
    }

    function _ownerIn(bytes32 row) private pure returns (uint16) {
        return uint16(uint256(row));
    }
}
