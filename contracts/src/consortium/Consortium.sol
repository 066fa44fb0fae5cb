// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    CORRECTION_DOCUMENTS,
    DATA_BUREAU,
    IDENTITY_REGISTRY,
    LOVE_BANK,
    MAXIMUM_ORGANISATION,
    SHARING_ORDERS
} from "../access/Constants.sol";
import {ICorrectionDocuments} from "../correction/ICorrectionDocuments.sol";
import {IIdentityRegistry} from "../identity/IIdentityRegistry.sol";
import {ILoveBank} from "../sharing/ILoveBank.sol";
import {ISharingOrders} from "../sharing/ISharingOrders.sol";
import {IConsortium} from "./IConsortium.sol";
import {Peers} from "./Peers.sol";
import {RelyingParties} from "./RelyingParties.sol";
import {RulesTable} from "./RulesTable.sol";
import {Validators} from "./Validators.sol";
import {Voting} from "./Voting.sol";

/// @title Consortium at its fixed address
/// @dev Each table is a contract of its own beside this one; here is what touches several of them.
contract Consortium is Peers, Validators, RelyingParties, RulesTable, Voting {
    /// @inheritdoc IConsortium
    function addOrganisation(uint16 organisation_, uint8 kind, bytes32 encryptionKey, bytes32 certificate) external governed {
        if (organisation_ == 0 || organisation_ > MAXIMUM_ORGANISATION) {
            revert OrganisationIdInvalid(organisation_, MAXIMUM_ORGANISATION);
        }
        if (kind == 0 || kind > DATA_BUREAU) revert OrganisationKindInvalid(kind);
        if (encryptionKey == 0) revert EncryptionKeyInvalid(encryptionKey);
        if (_members[organisation_].status != 0) revert OrganisationExists(organisation_);
        _members[organisation_] = Member(kind, ACTIVE, encryptionKey, certificate);
        _memberIds.push(organisation_);
        IIdentityRegistry(IDENTITY_REGISTRY).setOrganisation(organisation_, kind, true);
        // A chain may run without the correction system.
        if (CORRECTION_DOCUMENTS.code.length != 0) {
            ICorrectionDocuments(CORRECTION_DOCUMENTS).setOrganisationKind(organisation_, kind);
        }
        emit OrganisationAdded(organisation_, kind, encryptionKey, certificate);
    }

    /// @inheritdoc IConsortium
    function suspendOrganisation(uint16 organisation_) external governed {
        Member storage member = _member(organisation_);
        if (member.status != ACTIVE) revert OrganisationStatusUnchanged(organisation_, member.status);
        member.status = SUSPENDED;
        _requireVoters(organisation_, member.kind);
        (uint256 total, uint256 suspended) = _countPower();
        _requireQuorum(suspended, total);
        _connectPeers(organisation_, false);
        IIdentityRegistry(IDENTITY_REGISTRY).setOrganisation(organisation_, member.kind, false);
        emit OrganisationSuspended(organisation_);
    }

    /// @inheritdoc IConsortium
    function resumeOrganisation(uint16 organisation_) external governed {
        Member storage member = _member(organisation_);
        if (member.status != SUSPENDED) revert OrganisationStatusUnchanged(organisation_, member.status);
        member.status = ACTIVE;
        _connectPeers(organisation_, true);
        IIdentityRegistry(IDENTITY_REGISTRY).setOrganisation(organisation_, member.kind, true);
        emit OrganisationResumed(organisation_);
    }

    /// @inheritdoc IConsortium
    function setDeployer(address account, bool allowed) external governed {
        _admission().deployers[account] = allowed;
        emit DeployerSet(account, allowed);
    }

    /// @inheritdoc IConsortium
    function isDeployer(address account) external view returns (bool) {
        return _admission().deployers[account];
    }

    function _topicOf(address target, bytes4 selector) internal view override returns (uint8) {
        if (target == address(this)) {
            if (
                selector == IConsortium.addOrganisation.selector || selector == IConsortium.suspendOrganisation.selector
                    || selector == IConsortium.resumeOrganisation.selector || selector == IConsortium.setPeer.selector
            ) return MEMBERSHIP;
            if (selector == IConsortium.changeValidators.selector || selector == IConsortium.rotateValidatorKey.selector) {
                return VALIDATORS;
            }
            if (selector == IConsortium.addRules.selector) return RULES;
            if (
                selector == IConsortium.setRelyingParty.selector || selector == IConsortium.setOrigin.selector
                    || selector == IConsortium.setCallable.selector
            ) return RELYING_PARTIES;
            if (selector == IConsortium.setDeployer.selector) return DEPLOYERS;
        } else if (target == IDENTITY_REGISTRY) {
            if (
                selector == IIdentityRegistry.installRegistrar.selector || selector == IIdentityRegistry.removeRegistrar.selector
            ) return MEMBERSHIP;
        } else if (target == CORRECTION_DOCUMENTS) {
            if (selector == ICorrectionDocuments.setRule.selector || selector == ICorrectionDocuments.setHolidays.selector) {
                return CORRECTION_RULES;
            }
        } else if (target == LOVE_BANK) {
            if (selector == ILoveBank.setParameters.selector) return POINTS;
        } else if (target == SHARING_ORDERS) {
            if (selector == ISharingOrders.setKindWeight.selector || selector == ISharingOrders.setParameters.selector) return POINTS;
        }
        return 0;
    }
}
