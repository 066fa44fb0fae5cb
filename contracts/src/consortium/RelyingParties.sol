// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {STAFF} from "../access/Constants.sol";
import {IConsortium} from "./IConsortium.sol";
import {Members} from "./Members.sol";

/// @title Where people sign, and what they may call from there
abstract contract RelyingParties is Members {
    uint8 internal constant ANY_CONTRACT = 1;
    uint8 internal constant PARTY_FLAGS = 3;
    uint8 internal constant PARTY_EXISTS = 4;

    /// @dev How many relying parties staff can reach this contract through, without an end.
    uint256 private _governing;

    /// @inheritdoc IConsortium
    function setRelyingParty(bytes32 id, RelyingParty calldata row) external governed {
        if (
            id == 0 || row.rpIdHash == 0 || row.flags & ~PARTY_FLAGS != 0 || row.domain == 0 || row.domain > 3
                || (row.untilHeight != 0 && row.untilHeight <= row.fromHeight)
        ) revert RelyingPartyInvalid(id);
        _member(row.organisation);
        bool before = _governs(id);
        _admission().parties[id] =
            Party(row.rpIdHash, row.fromHeight, row.untilHeight, row.organisation, row.flags | PARTY_EXISTS, row.domain);
        _recountGoverning(id, before);
        emit RelyingPartySet(id, row.organisation, row.domain, row.rpIdHash, row.fromHeight, row.untilHeight, row.flags);
    }

    /// @inheritdoc IConsortium
    function setOrigin(bytes32 relyingParty_, bytes calldata origin, bool allowed) external governed {
        _requireParty(relyingParty_);
        bytes32 originHash = keccak256(origin);
        _admission().origins[relyingParty_][originHash] = allowed;
        emit OriginSet(relyingParty_, originHash, allowed, origin);
    }

    /// @inheritdoc IConsortium
    function setCallable(bytes32 relyingParty_, address target, bool allowed) external governed {
        _requireParty(relyingParty_);
        bool before = _governs(relyingParty_);
        _admission().callables[relyingParty_][target] = allowed;
        _recountGoverning(relyingParty_, before);
        emit CallableSet(relyingParty_, target, allowed);
    }

    /// @inheritdoc IConsortium
    function relyingParty(bytes32 id) external view returns (RelyingParty memory) {
        Party storage row = _admission().parties[id];
        return RelyingParty(row.rpIdHash, row.fromHeight, row.untilHeight, row.organisation, row.flags & PARTY_FLAGS, row.domain);
    }

    /// @inheritdoc IConsortium
    function isOrigin(bytes32 relyingParty_, bytes calldata origin) external view returns (bool) {
        return _admission().origins[relyingParty_][keccak256(origin)];
    }

    /// @inheritdoc IConsortium
    function isCallable(bytes32 relyingParty_, address target) external view returns (bool) {
        return _admission().callables[relyingParty_][target];
    }

    function _requireParty(bytes32 id) private view {
        if (_admission().parties[id].flags & PARTY_EXISTS == 0) revert RelyingPartyUnknown(id);
    }

    function _governs(bytes32 id) private view returns (bool) {
        Admission storage admission = _admission();
        Party storage row = admission.parties[id];
        return row.domain == STAFF && row.untilHeight == 0
            && (row.flags & ANY_CONTRACT != 0 || admission.callables[id][address(this)]);
    }

    function _recountGoverning(bytes32 id, bool before) private {
        bool now_ = _governs(id);
        if (now_ && !before) ++_governing;
        if (before && !now_ && --_governing == 0) revert LastGoverningRelyingParty(id);
    }
}
