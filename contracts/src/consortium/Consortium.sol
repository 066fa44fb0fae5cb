// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    APPROVER,
    COMMUNITY,
    CORRECTION_DOCUMENTS,
    CORRECTION_KINDS,
    DATA_BUREAU,
    AUDIT,
    IDENTITY_REGISTRY,
    LOVE_BANK,
    MAXIMUM_ORGANISATION,
    OPERATOR,
    REGISTRAR,
    SHARING_ORDERS,
    STAFF,
    SYSTEM
} from "../access/Constants.sol";
import {Countersigning} from "../access/Countersigning.sol";
import {Standing} from "../access/Standing.sol";
import {ICorrectionDocuments} from "../correction/ICorrectionDocuments.sol";
import {IIdentityRegistry} from "../identity/IIdentityRegistry.sol";
import {ILoveBank} from "../sharing/ILoveBank.sol";
import {ISharingOrders} from "../sharing/ISharingOrders.sol";
import {IConsortium} from "./IConsortium.sol";

/// @title Consortium at its fixed address
/// @dev What the node reads for admission lies at an ERC-7201 base: do not move it.
contract Consortium is Countersigning, IConsortium {
    using Standing for uint256;

    struct Party {
        bytes32 rpIdHash;
        uint64 fromHeight;
        uint64 untilHeight;
        uint16 organisation;
        uint8 flags;
        uint8 domain;
    }

    /// @custom:storage-location erc7201:shelian.consortium.admission
    struct Admission {
        mapping(bytes32 => Party) parties;
        mapping(bytes32 => mapping(bytes32 => bool)) origins;
        mapping(bytes32 => mapping(address => bool)) callables;
        mapping(address => bool) deployers;
        mapping(uint256 => Rules) rules;
        uint256 validatorsVersion;
        bytes32[] validatorKeys;
        mapping(bytes32 => uint64) powers;
    }

    struct Member {
        uint8 kind;
        uint8 status;
        bytes32 encryptionKey;
    }

    struct Proposal {
        bytes32 payloadHash;
        uint8 status;
        uint8 topic;
        uint16 proposer;
        uint48 until;
    }

    /// @dev keccak256(abi.encode(uint256(keccak256("shelian.consortium.admission")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 internal constant ADMISSION = 0x85660c41603fd904947602182d100c98c78b75e13d4a05016211a644d6484800;

    uint8 internal constant ACTIVE = 1;
    uint8 internal constant SUSPENDED = 2;
    uint8 internal constant OPEN = 1;
    uint8 internal constant EXECUTED = 2;

    uint8 internal constant MEMBERSHIP = 1;
    uint8 internal constant VALIDATORS = 2;
    uint8 internal constant RULES = 3;
    uint8 internal constant RELYING_PARTIES = 4;
    uint8 internal constant DEPLOYERS = 5;
    uint8 internal constant CORRECTION_RULES = 6;
    uint8 internal constant POINTS = 7;

    uint8 internal constant ANY_CONTRACT = 1;
    uint8 internal constant PARTY_FLAGS = 3;
    uint8 internal constant PARTY_EXISTS = 4;

    uint8 internal constant YES = 1;
    uint8 internal constant NO = 2;
    uint256 internal constant VOTING_TIME = 90 days;
    uint256 internal constant MAXIMUM_VALIDATORS = 100;
    /// @dev CometBFT's bound on total power is 2^63 / 8; this stays far below it.
    uint64 internal constant MAXIMUM_POWER = 1 << 48;
    uint8 internal constant CANCUN = 1;

    mapping(uint16 => Member) private _members;
    uint16[] private _memberIds;
    mapping(bytes32 => Proposal) private _proposals;
    mapping(bytes32 => mapping(uint16 => uint8)) private _votes;
    uint256 private _rulesVersion;
    /// @dev How many relying parties staff can reach this contract through, without an end.
    uint256 private _governing;

    /// @dev At genesis, or this contract itself when it executes a vote.
    modifier decided() {
        if (msg.sender != address(this) && msg.sender != SYSTEM) revert WrongCaller(msg.sender, address(this));
        _;
    }

    /// @inheritdoc IConsortium
    function addOrganisation(uint16 organisation_, uint8 kind, bytes32 encryptionKey) external decided {
        if (organisation_ == 0 || organisation_ > MAXIMUM_ORGANISATION) {
            revert OrganisationIdInvalid(organisation_, MAXIMUM_ORGANISATION);
        }
        if (kind == 0 || kind > DATA_BUREAU) revert OrganisationKindInvalid(kind);
        if (encryptionKey == 0) revert EncryptionKeyInvalid(encryptionKey);
        if (_members[organisation_].status != 0) revert OrganisationExists(organisation_);
        _members[organisation_] = Member(kind, ACTIVE, encryptionKey);
        _memberIds.push(organisation_);
        IIdentityRegistry(IDENTITY_REGISTRY).setOrganisation(organisation_, kind, true);
        // A chain may run without the correction system.
        if (CORRECTION_DOCUMENTS.code.length != 0) {
            ICorrectionDocuments(CORRECTION_DOCUMENTS).setOrganisationKind(organisation_, kind);
        }
        emit OrganisationAdded(organisation_, kind, encryptionKey);
    }

    /// @inheritdoc IConsortium
    function suspendOrganisation(uint16 organisation_) external decided {
        Member storage member = _member(organisation_);
        if (member.status != ACTIVE) revert OrganisationStatusUnchanged(organisation_, member.status);
        member.status = SUSPENDED;
        for (uint8 topic = MEMBERSHIP; topic <= POINTS; ++topic) {
            if (_weight(topic, member.kind) != 0 && _totalWeight(topic) == 0) revert LastVoter(organisation_, topic);
        }
        IIdentityRegistry(IDENTITY_REGISTRY).setOrganisation(organisation_, member.kind, false);
        emit OrganisationSuspended(organisation_);
    }

    /// @inheritdoc IConsortium
    function resumeOrganisation(uint16 organisation_) external decided {
        Member storage member = _member(organisation_);
        if (member.status != SUSPENDED) revert OrganisationStatusUnchanged(organisation_, member.status);
        member.status = ACTIVE;
        IIdentityRegistry(IDENTITY_REGISTRY).setOrganisation(organisation_, member.kind, true);
        emit OrganisationResumed(organisation_);
    }

    /// @inheritdoc IConsortium
    function setRelyingParty(bytes32 id, RelyingParty calldata row) external decided {
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
    function setOrigin(bytes32 relyingParty_, bytes calldata origin, bool allowed) external decided {
        _requireParty(relyingParty_);
        bytes32 originHash = keccak256(origin);
        _admission().origins[relyingParty_][originHash] = allowed;
        emit OriginSet(relyingParty_, originHash, allowed, origin);
    }

    /// @inheritdoc IConsortium
    function setCallable(bytes32 relyingParty_, address target, bool allowed) external decided {
        _requireParty(relyingParty_);
        bool before = _governs(relyingParty_);
        _admission().callables[relyingParty_][target] = allowed;
        _recountGoverning(relyingParty_, before);
        emit CallableSet(relyingParty_, target, allowed);
    }

    /// @inheritdoc IConsortium
    function setDeployer(address account, bool allowed) external decided {
        _admission().deployers[account] = allowed;
        emit DeployerSet(account, allowed);
    }

    /// @inheritdoc IConsortium
    function addRules(Rules calldata row) external decided {
        uint256 version = _rulesVersion + 1;
        _checkRules(row, version);
        _rulesVersion = version;
        _admission().rules[version] = row;
        emit RulesAdded(version, row);
    }

    /// @inheritdoc IConsortium
    function changeValidators(bytes32[] calldata keys, uint64[] calldata newPowers) external decided {
        if (keys.length == 0 || keys.length != newPowers.length) revert LengthMismatch(newPowers.length, keys.length);
        Admission storage admission = _admission();
        uint256 total = _totalPower();
        uint256 changed;
        for (uint256 i = 0; i < keys.length; ++i) {
            bytes32 key = keys[i];
            uint64 power = newPowers[i];
            uint64 old = admission.powers[key];
            if (key == 0 || power > MAXIMUM_POWER) revert ValidatorInvalid(key, power);
            if (power == old) {
                if (power == 0) revert ValidatorUnknown(key);
                revert ValidatorUnchanged(key);
            }
            for (uint256 j = 0; j < i; ++j) {
                if (keys[j] == key) revert ValidatorUnchanged(key);
            }
            changed += power > old ? power - old : old - power;
            if (old == 0) admission.validatorKeys.push(key);
            else if (power == 0) _removeKey(admission.validatorKeys, key);
            admission.powers[key] = power;
        }
        if (admission.validatorKeys.length == 0) revert NoValidatorLeft();
        if (admission.validatorKeys.length > MAXIMUM_VALIDATORS) {
            revert LengthMismatch(admission.validatorKeys.length, MAXIMUM_VALIDATORS);
        }
        // Only genesis makes a set out of nothing; later, two thirds of the old set must carry the new one.
        if (total != 0 && changed * 3 > total) revert ValidatorChangeTooLarge(changed, total);
        uint256 version = ++admission.validatorsVersion;
        emit ValidatorsChanged(version, keys, newPowers);
    }

    /// @inheritdoc IConsortium
    function rotateEncryptionKey(bytes32 encryptionKey) external {
        uint256 word = _standing();
        _require(word, STAFF, REGISTRAR);
        uint16 own = word.organisation();
        Member storage member = _member(own);
        if (encryptionKey == 0 || encryptionKey == member.encryptionKey) revert EncryptionKeyInvalid(encryptionKey);
        if (!_countersigned(word)) return;
        emit EncryptionKeyRotated(own, member.encryptionKey, encryptionKey);
        member.encryptionKey = encryptionKey;
    }

    /// @inheritdoc IConsortium
    function propose(bytes32 id, address target, bytes calldata data) external {
        uint8 topic = _topicOf(target, bytes4(data));
        if (topic == 0) revert TopicUnknown(target, bytes4(data));
        uint256 word = _voter(topic);
        if (id == 0 || _proposals[id].status != 0) revert ProposalExists(id);
        uint48 until = uint48(block.timestamp + VOTING_TIME);
        _proposals[id] = Proposal(keccak256(abi.encode(target, data)), OPEN, topic, word.organisation(), until);
        emit Proposed(id, topic, word.organisation(), word.identity(), until, target, data);
    }

    /// @inheritdoc IConsortium
    function vote(bytes32 id, bool approve) external {
        Proposal storage row = _open(id);
        uint256 word = _voter(row.topic);
        uint16 own = word.organisation();
        if (_votes[id][own] != 0) revert AlreadyVoted(id, own);
        _votes[id][own] = approve ? YES : NO;
        emit Voted(id, own, word.identity(), approve);
    }

    /// @inheritdoc IConsortium
    function execute(bytes32 id, address target, bytes calldata data) external {
        Proposal storage row = _open(id);
        uint8 topic = row.topic;
        _voter(topic);
        bytes32 payloadHash = keccak256(abi.encode(target, data));
        if (payloadHash != row.payloadHash) revert ProposalMismatch(payloadHash, row.payloadHash);
        (uint256 approving,, uint256 total) = _tally(id, topic);
        (uint8 numerator, uint8 denominator) = topic <= RULES ? (2, 3) : (1, 2);
        if (approving * denominator <= total * numerator) revert MajorityMissing(approving, total, numerator, denominator);
        row.status = EXECUTED;
        (bool success, bytes memory answer) = target.call(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        emit Executed(id, topic, approving, total);
    }

    /// @inheritdoc IConsortium
    function organisation(uint16 organisation_) external view returns (uint8 kind, uint8 status, bytes32 encryptionKey) {
        Member storage member = _members[organisation_];
        return (member.kind, member.status, member.encryptionKey);
    }

    /// @inheritdoc IConsortium
    function organisations() external view returns (uint16[] memory) {
        return _memberIds;
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

    /// @inheritdoc IConsortium
    function isDeployer(address account) external view returns (bool) {
        return _admission().deployers[account];
    }

    /// @inheritdoc IConsortium
    function rules(uint256 version) external view returns (Rules memory) {
        return _admission().rules[version];
    }

    /// @inheritdoc IConsortium
    function rulesVersion() external view returns (uint256) {
        return _rulesVersion;
    }

    /// @inheritdoc IConsortium
    function validators() external view returns (uint256 version, bytes32[] memory keys, uint64[] memory powers) {
        Admission storage admission = _admission();
        keys = admission.validatorKeys;
        powers = new uint64[](keys.length);
        for (uint256 i = 0; i < keys.length; ++i) {
            powers[i] = admission.powers[keys[i]];
        }
        return (admission.validatorsVersion, keys, powers);
    }

    /// @inheritdoc IConsortium
    function topicOf(address target, bytes4 selector) external view returns (uint8) {
        return _topicOf(target, selector);
    }

    /// @inheritdoc IConsortium
    function proposal(bytes32 id)
        external
        view
        returns (
            uint8 status, uint8 topic, uint16 proposer, uint48 until, bytes32 payloadHash, uint256 approving, uint256 rejecting,
            uint256 total
        )
    {
        Proposal storage row = _proposals[id];
        (approving, rejecting, total) = _tally(id, row.topic);
        return (row.status, row.topic, row.proposer, row.until, row.payloadHash, approving, rejecting, total);
    }

    function _member(uint16 organisation_) private view returns (Member storage member) {
        member = _members[organisation_];
        if (member.status == 0) revert OrganisationUnknown(organisation_);
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

    /// @dev Refuses a row under which nobody could send a governing transaction any more.
    function _checkRules(Rules calldata row, uint256 version) private view {
        if (version == 1 ? row.activationHeight != 0 : row.activationHeight <= block.number) {
            revert RulesInvalid(0, row.activationHeight);
        }
        if (row.blockGas < row.transactionGas || row.blockGas > 1 << 40) revert RulesInvalid(1, row.blockGas);
        if (row.transactionGas < 5_000_000) revert RulesInvalid(2, row.transactionGas);
        if (row.correctionGas > row.blockGas - row.transactionGas) revert RulesInvalid(3, row.correctionGas);
        if (row.identityGas < row.transactionGas) revert RulesInvalid(4, row.identityGas);
        if (row.maxTransactionBytes < 16_384 || row.maxTransactionBytes > 1 << 20) revert RulesInvalid(5, row.maxTransactionBytes);
        if (row.byteGas == 0 || row.byteGas > 100) revert RulesInvalid(6, row.byteGas);
        if (row.baseGas == 0 || row.baseGas > 1_000_000) revert RulesInvalid(7, row.baseGas);
        if (row.maxCalls == 0 || row.maxCalls > 1_000) revert RulesInvalid(8, row.maxCalls);
        if (row.maxValidity < 300 || row.maxValidity > 7 days) revert RulesInvalid(9, row.maxValidity);
        if (row.fork != CANCUN) revert RulesInvalid(10, row.fork);
        // Scheme gas 0 turns a scheme off: WebAuthn and one scheme without an authenticator stay on.
        if (row.schemeGas[1] == 0 || row.schemeGas[2] | row.schemeGas[3] | row.schemeGas[4] == 0) revert RulesInvalid(11, 0);
        for (uint256 i = 0; i < 8; ++i) {
            if (row.schemeGas[i] > 1_000_000) revert RulesInvalid(11, row.schemeGas[i]);
        }
    }

    function _totalPower() private view returns (uint256 total) {
        Admission storage admission = _admission();
        uint256 length = admission.validatorKeys.length;
        for (uint256 i = 0; i < length; ++i) {
            total += admission.powers[admission.validatorKeys[i]];
        }
    }

    function _removeKey(bytes32[] storage keys, bytes32 key) private {
        uint256 last = keys.length - 1;
        for (uint256 i = 0; i <= last; ++i) {
            if (keys[i] != key) continue;
            keys[i] = keys[last];
            keys.pop();
            return;
        }
    }

    function _topicOf(address target, bytes4 selector) private view returns (uint8) {
        if (target == address(this)) {
            if (
                selector == this.addOrganisation.selector || selector == this.suspendOrganisation.selector
                    || selector == this.resumeOrganisation.selector
            ) return MEMBERSHIP;
            if (selector == this.changeValidators.selector) return VALIDATORS;
            if (selector == this.addRules.selector) return RULES;
            if (
                selector == this.setRelyingParty.selector || selector == this.setOrigin.selector
                    || selector == this.setCallable.selector
            ) return RELYING_PARTIES;
            if (selector == this.setDeployer.selector) return DEPLOYERS;
        } else if (target == IDENTITY_REGISTRY) {
            if (selector == IIdentityRegistry.installRegistrar.selector) return MEMBERSHIP;
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

    /// @dev Correction rules are for police, procuratorate, court and justice alone; points for community (2), data bureau and
    /// auditor (1 each); everything else for every member alike.
    function _weight(uint8 topic, uint8 kind) private pure returns (uint256) {
        if (topic == CORRECTION_RULES) return CORRECTION_KINDS >> kind & 1;
        if (topic == POINTS) return kind == COMMUNITY ? 2 : kind == DATA_BUREAU || kind == AUDIT ? 1 : 0;
        return 1;
    }

    function _totalWeight(uint8 topic) private view returns (uint256 total) {
        (,, total) = _tally(0, topic);
    }

    /// @dev Counted over the organisations active now, so a suspended member's vote no longer counts.
    function _tally(bytes32 id, uint8 topic) private view returns (uint256 approving, uint256 rejecting, uint256 total) {
        uint256 length = _memberIds.length;
        for (uint256 i = 0; i < length; ++i) {
            uint16 member = _memberIds[i];
            if (_members[member].status != ACTIVE) continue;
            uint256 weight = _weight(topic, _members[member].kind);
            uint8 cast = _votes[id][member];
            total += weight;
            if (cast == YES) approving += weight;
            else if (cast == NO) rejecting += weight;
        }
    }

    function _open(bytes32 id) private view returns (Proposal storage row) {
        row = _proposals[id];
        if (row.status == 0) revert ProposalUnknown(id);
        if (row.status != OPEN) revert ProposalClosed(id);
        if (block.timestamp > row.until) revert ProposalExpired(id, row.until);
    }

    function _voter(uint8 topic) private view returns (uint256 word) {
        word = _standing();
        _require(word, STAFF, OPERATOR | APPROVER);
        if (_weight(topic, word.kind()) == 0) revert NoVote(word.organisation(), topic);
    }

    function _admission() private pure returns (Admission storage admission) {
        assembly ("memory-safe") {
            admission.slot := ADMISSION
        }
    }
}
