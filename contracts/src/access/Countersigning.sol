// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Access} from "./Access.sol";
import {ICountersigned} from "./ICountersigned.sol";
import {Standing} from "./Standing.sol";

/// @title Four eyes: the same call sent by two identities of one organisation
abstract contract Countersigning is Access, ICountersigned {
    using Standing for uint256;

    uint256 internal constant REQUEST_LIFE = 7 days;

    /// @dev action => identity 128 bits | organisation 16 | unix seconds 48
    mapping(bytes32 => uint256) private _requests;

    /// @inheritdoc ICountersigned
    function withdrawRequest(bytes32 action) external {
        bytes16 by = _ownIdentity();
        if (bytes16(uint128(_requests[action])) != by) revert RequestUnknown(action, by);
        delete _requests[action];
        emit CountersignatureWithdrawn(action, by);
    }

    /// @inheritdoc ICountersigned
    function request(bytes32 action) external view returns (bytes16 by, uint48 requestedAt) {
        uint256 open = _requests[action];
        return (bytes16(uint128(open)), uint48(open >> 144));
    }

    /// @dev False: the request is recorded and the caller of this function must stop. True: carry it out.
    function _countersigned(uint256 word) internal returns (bool) {
        bytes32 action = keccak256(msg.data);
        uint256 open = _requests[action];
        uint16 organisation = word.organisation();
        bytes16 by = word.identity();
        if (open == 0 || uint16(open >> 128) != organisation || block.timestamp > (open >> 144) + REQUEST_LIFE) {
            _requests[action] = uint256(uint128(by)) | uint256(organisation) << 128 | block.timestamp << 144;
            emit CountersignatureRequested(action, organisation, by, msg.data);
            return false;
        }
        if (bytes16(uint128(open)) == by) revert SecondPersonRequired(by);
        delete _requests[action];
        emit Countersigned(action, organisation, by);
        return true;
    }

    function _ownIdentity() internal view virtual returns (bytes16) {
        return _standing().identity();
    }
}
