// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SYSTEM} from "../access/Constants.sol";
import {IConsortium} from "./IConsortium.sol";
import {Members} from "./Members.sol";

/// @title Who signs the blocks, with how much power, and whose machine it is
/// @dev A change made in block h is in force from block h + 2, and a block needs signatures of more than two thirds of the
/// power in force. Nobody here knows which machines run. So a change is refused unless the new set decides blocks
/// even while all power that was just given and every validator of a suspended organisation is silent;
/// and the next change waits until a block was decided by the set of this one. docs/CONTRACTS.md has the reasoning.
abstract contract Validators is Members {
    uint256 internal constant MAXIMUM_VALIDATORS = 100;
    /// @dev CometBFT's bound on total power is 2^63 / 8; this stays far below it.
    uint64 internal constant MAXIMUM_POWER = 1 << 48;
    uint256 internal constant IN_FORCE_AFTER = 2;

    /// @dev The height from which the next change is allowed.
    uint256 private _nextChange;

    /// @inheritdoc IConsortium
    function changeValidators(bytes32[] calldata keys, uint64[] calldata newPowers, uint16[] calldata owners) external governed {
        if (keys.length == 0 || keys.length != newPowers.length) revert LengthMismatch(newPowers.length, keys.length);
        if (keys.length != owners.length) revert LengthMismatch(owners.length, keys.length);
        Admission storage admission = _admission();
        uint256 raised;
        uint256 lowered;
        for (uint256 i = 0; i < keys.length; ++i) {
            bytes32 key = keys[i];
            for (uint256 j = 0; j < i; ++j) {
                if (keys[j] == key) revert ValidatorUnchanged(key);
            }
            uint64 power = newPowers[i];
            uint64 old = admission.powers[key];
            _setPower(key, power, old, owners[i]);
            if (power > old) raised += power - old;
            else lowered += old - power;
        }
        if (admission.validatorKeys.length == 0) revert NoValidatorLeft();
        if (admission.validatorKeys.length > MAXIMUM_VALIDATORS) {
            revert LengthMismatch(admission.validatorKeys.length, MAXIMUM_VALIDATORS);
        }
        // What genesis says every member has signed.
        if (msg.sender != SYSTEM) {
            (uint256 total, uint256 suspended) = _countPower();
            uint256 before = total + lowered - raised;
            if ((raised + lowered) * 3 > before) revert ValidatorChangeTooLarge(raised + lowered, before);
            _requireQuorum(raised + suspended, total);
            _waitForLastChange();
        }
        emit ValidatorsChanged(++admission.validatorsVersion, keys, newPowers, owners);
    }

    /// @inheritdoc IConsortium
    function rotateValidatorKey(bytes32 oldKey, bytes32 newKey) external governed {
        Admission storage admission = _admission();
        uint64 power = admission.powers[oldKey];
        if (power == 0) revert ValidatorUnknown(oldKey);
        if (newKey == 0) revert ValidatorInvalid(newKey, power);
        if (admission.powers[newKey] != 0) revert ValidatorUnchanged(newKey);
        uint16 owner = admission.validatorOrganisations[oldKey];
        _requireActive(owner);
        (uint256 total, uint256 suspended) = _countPower();
        _requireQuorum(power + suspended, total);
        _waitForLastChange();
        admission.validatorKeys[_indexOf(oldKey)] = newKey;
        (admission.powers[newKey], admission.validatorOrganisations[newKey]) = (power, owner);
        delete admission.powers[oldKey];
        delete admission.validatorOrganisations[oldKey];
        emit ValidatorKeyRotated(++admission.validatorsVersion, owner, oldKey, newKey, power);
    }

    /// @inheritdoc IConsortium
    function validators()
        external
        view
        returns (uint256 version, bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners)
    {
        Admission storage admission = _admission();
        keys = admission.validatorKeys;
        powers = new uint64[](keys.length);
        owners = new uint16[](keys.length);
        for (uint256 i = 0; i < keys.length; ++i) {
            (powers[i], owners[i]) = (admission.powers[keys[i]], admission.validatorOrganisations[keys[i]]);
        }
        version = admission.validatorsVersion;
    }

    /// @dev The power in all, and that of validators whose organisation is suspended: its nodes may not connect.
    function _countPower() internal view returns (uint256 total, uint256 suspended) {
        Admission storage admission = _admission();
        uint256 length = admission.validatorKeys.length;
        for (uint256 i = 0; i < length; ++i) {
            bytes32 key = admission.validatorKeys[i];
            uint256 power = admission.powers[key];
            total += power;
            if (_members[admission.validatorOrganisations[key]].status != ACTIVE) suspended += power;
        }
    }

    /// @dev Refuses unless more than two thirds of the power remain without the silent part.
    function _requireQuorum(uint256 silent, uint256 total) internal pure {
        if (silent * 3 >= total) revert QuorumAtRisk(silent, total);
    }

    function _setPower(bytes32 key, uint64 power, uint64 old, uint16 owner) private {
        Admission storage admission = _admission();
        if (key == 0 || power > MAXIMUM_POWER) revert ValidatorInvalid(key, power);
        if (old == 0) {
            if (power == 0) revert ValidatorUnknown(key);
            admission.validatorKeys.push(key);
            admission.validatorOrganisations[key] = owner;
        } else {
            if (power == old) revert ValidatorUnchanged(key);
            uint16 recorded = admission.validatorOrganisations[key];
            if (owner != recorded) revert ValidatorOrganisation(key, owner, recorded);
            if (power == 0) {
                uint256 last = admission.validatorKeys.length - 1;
                admission.validatorKeys[_indexOf(key)] = admission.validatorKeys[last];
                admission.validatorKeys.pop();
                delete admission.validatorOrganisations[key];
            }
        }
        if (power > old) _requireActive(owner);
        admission.powers[key] = power;
    }

    /// @dev Several changes before the first is in force would together be one large change.
    function _waitForLastChange() private {
        if (block.number < _nextChange) revert ValidatorChangePending(block.number, _nextChange);
        _nextChange = block.number + IN_FORCE_AFTER;
    }

    /// @dev Of a key that is in the list.
    function _indexOf(bytes32 key) private view returns (uint256 index) {
        bytes32[] storage keys = _admission().validatorKeys;
        while (keys[index] != key) ++index;
    }
}
