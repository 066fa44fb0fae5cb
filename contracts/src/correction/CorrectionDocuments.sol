// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Access} from "../access/Access.sol";
import {
    APPROVER,
    CONSORTIUM,
    CORRECTION_KINDS,
    HANDLER,
    MAXIMUM_ORGANISATION,
    SEALER,
    SERVICE,
    SERVICES,
    STAFF,
    SUPERVISOR
} from "../access/Constants.sol";
import {Standing} from "../access/Standing.sol";
import {Deadlines} from "./Deadlines.sol";
import {ICorrectionDocuments} from "./ICorrectionDocuments.sol";
import {Recipients} from "./Recipients.sol";

/// @title CorrectionDocuments at its fixed address
/// @dev Rows are single words with shifts instead of structs, so that each step loads and stores each word once.
contract CorrectionDocuments is Access, ICorrectionDocuments {
    using Standing for uint256;
    using Recipients for uint256;

    uint8 internal constant DRAFTED = 1;
    uint8 internal constant APPROVED = 2;
    uint8 internal constant SEALED = 3;
    uint8 internal constant SUBMITTED = 4;
    uint8 internal constant SUPERSEDED = 5;

    uint8 internal constant DELIVERED = 1;
    uint8 internal constant SIGNED_FOR = 2;
    uint8 internal constant RETURNED = 3;
    uint8 internal constant REPLIED = 4;

    uint8 internal constant STEP_SUBMIT = 1;
    uint8 internal constant STEP_DELIVER = 2;
    uint8 internal constant STEP_SIGN_FOR = 3;
    uint8 internal constant STEP_REPLY = 4;

    uint8 internal constant RESTRICTED = 2;
    /// @dev Code of every document of the restricted class.
    uint16 internal constant RESTRICTED_CODE = 0;
    uint16 internal constant OUTSIDE = 0xff00;
    uint16 internal constant FIRST_OUTSIDE_KIND = 8;
    uint16 internal constant LAST_KIND = 15;
    uint256 internal constant DATE_TOLERANCE = 1 days;
    uint256 internal constant MAXIMUM_LIMIT = 400;

    /// @dev state 8 bits | code 16 at 8 | organisation 16 at 24 | breached 8 at 40 | due 48 at 48 | legal date 48 at 96 | submitted at 48 at 144
    mapping(bytes32 => uint256) private _documents;
    mapping(bytes32 => bytes32) private _manifests;
    mapping(bytes32 => uint256) private _recipients;
    /// @dev drafter 128 bits | drafted for 128
    mapping(bytes32 => uint256) private _drafters;
    mapping(bytes32 => bytes32) private _inReplyTo;
    /// @dev document => organisation => state 8 bits | breached 8 at 8 | delivered at 48 at 16 | signed at 48 at 64 | reply due 48 at 112
    mapping(bytes32 => mapping(uint256 => uint256)) private _deliveries;
    /// @dev code => senders 16 bits | recipients 16 at 16 | copies 16 at 32 | class 8 at 48 | amount 16 at 56 | unit 8 at 72 | start 8 at 80 |
    /// flags 8 at 88 | replies 4 * 16 at 96 | reply amount 16 at 160 | reply unit 8 at 176 | effective from 48 at 184
    mapping(uint256 => uint256) private _rules;
    mapping(uint256 => uint256) private _holidays;
    /// @dev organisation >> 6 => 4 bits of kind each, so that one load tells the kinds of all recipients of a district.
    mapping(uint256 => uint256) private _kinds;

    /// @inheritdoc ICorrectionDocuments
    function draft(
        bytes32 document_, bytes32 caseId, uint16 code, bytes32 manifestHash, uint16[] calldata to, uint16[] calldata copies,
        bytes32 inReplyTo, bytes16 onBehalfOf
    ) external {
        uint256 word = _acting(onBehalfOf);
        _require(word, STAFF, HANDLER);
        if (document_ == 0) revert DocumentIdInvalid(document_);
        if (_documents[document_] != 0) revert DocumentExists(document_);
        if (manifestHash == 0) revert ManifestInvalid(manifestHash);
        uint256 recipients = _checkAddressees(code, word, to, copies);
        if (inReplyTo != 0) {
            _checkReply(inReplyTo, code, word.organisation(), recipients);
            _inReplyTo[document_] = inReplyTo;
        }
        _documents[document_] = uint256(DRAFTED) | uint256(code) << 8 | uint256(word.organisation()) << 24;
        _manifests[document_] = manifestHash;
        _recipients[document_] = recipients;
        _drafters[document_] = uint128(word.identity()) | uint256(uint128(onBehalfOf)) << 128;
        emit DocumentDrafted(
            document_, caseId, word.organisation(), code, manifestHash, recipients, inReplyTo, word.identity(), onBehalfOf
        );
    }

    /// @inheritdoc ICorrectionDocuments
    function approve(bytes32 document_, bytes32 manifestHash, bytes16 onBehalfOf) external {
        uint256 word = _step(document_, onBehalfOf, APPROVER, DRAFTED, APPROVED, manifestHash);
        uint256 drafters = _drafters[document_];
        bytes16 drafter = bytes16(uint128(drafters));
        bytes16 draftedFor = bytes16(uint128(drafters >> 128));
        // Neither the drafter nor who they drafted for, neither themself nor through a deputy.
        if (word.identity() == drafter || word.identity() == draftedFor) revert OwnDraft(word.identity());
        if (onBehalfOf != 0 && (onBehalfOf == drafter || onBehalfOf == draftedFor)) revert OwnDraft(onBehalfOf);
        emit DocumentApproved(document_, word.organisation(), manifestHash, word.identity(), onBehalfOf);
    }

    /// @inheritdoc ICorrectionDocuments
    function seal(bytes32 document_, bytes32 manifestHash, bytes16 onBehalfOf) external {
        uint256 word = _step(document_, onBehalfOf, SEALER, APPROVED, SEALED, manifestHash);
        emit DocumentSealed(document_, word.organisation(), manifestHash, word.identity(), onBehalfOf);
    }

    /// @inheritdoc ICorrectionDocuments
    function submit(bytes32 document_, uint48 legalDate, bytes16 onBehalfOf) external {
        uint256 word = _acting(onBehalfOf);
        _require(word, STAFF, HANDLER);
        uint256 row = _documentOf(document_, SEALED);
        uint16 own = uint16(row >> 24);
        _requireOrganisation(word, own);
        uint48 due = _due(uint16(row >> 8), legalDate);
        _documents[document_] = (row & ~uint256(0xff)) | SUBMITTED | uint256(due) << 48 | uint256(legalDate) << 96
            | block.timestamp << 144;
        emit DocumentSubmitted(document_, own, legalDate, due, word.identity(), onBehalfOf);
        _noteLateness(document_, own, STEP_SUBMIT, due);
        bytes32 answered = _inReplyTo[document_];
        if (answered != 0) _recordReply(answered, document_, own);
    }

    /// @inheritdoc ICorrectionDocuments
    function deliver(bytes32 document_, bytes32 manifestHash) external {
        uint256 word = _standing();
        _require(word, SERVICES, SERVICE);
        uint256 row = _documentOf(document_, SUBMITTED);
        if (_manifests[document_] != manifestHash) revert ManifestMismatch(manifestHash, _manifests[document_]);
        uint16 own = word.organisation();
        uint256 place = _recipients[document_].find(own);
        if (place == 0) revert NotRecipient(document_, own);
        uint256 delivery_ = _deliveries[document_][own];
        if (delivery_ != 0) revert RecipientState(document_, own, uint8(delivery_), 0);
        uint48 replyDue;
        if (place == 1) {
            uint256 rule_ = _rules[uint16(row >> 8)];
            uint256 amount = uint16(rule_ >> 160);
            if (amount != 0) replyDue = uint48(Deadlines.due(_holidays, block.timestamp, amount, uint8(rule_ >> 176), 1));
        }
        _deliveries[document_][own] = uint256(DELIVERED) | block.timestamp << 16 | uint256(replyDue) << 112;
        emit DocumentDelivered(document_, own, replyDue, word.identity());
        _noteLateness(document_, own, STEP_DELIVER, uint48(row >> 48));
    }

    /// @inheritdoc ICorrectionDocuments
    function recordHandover(bytes32 document_, uint16 recipient, bytes32 evidence, bytes16 onBehalfOf) external {
        uint256 word = _acting(onBehalfOf);
        _require(word, STAFF, HANDLER);
        uint256 row = _documentOf(document_, SUBMITTED);
        _requireOrganisation(word, uint16(row >> 24));
        if (recipient < OUTSIDE || _recipients[document_].find(recipient) == 0) revert NotRecipient(document_, recipient);
        uint256 delivery_ = _deliveries[document_][recipient];
        if (delivery_ != 0) revert RecipientState(document_, recipient, uint8(delivery_), 0);
        _deliveries[document_][recipient] = uint256(DELIVERED) | block.timestamp << 16;
        emit DocumentHandedOver(document_, recipient, word.organisation(), evidence, word.identity(), onBehalfOf);
        _noteLateness(document_, recipient, STEP_DELIVER, uint48(row >> 48));
    }

    /// @inheritdoc ICorrectionDocuments
    function signFor(bytes32 document_, bytes16 onBehalfOf) external {
        uint256 word = _acting(onBehalfOf);
        _require(word, STAFF, HANDLER);
        uint256 row = _documentOf(document_, SUBMITTED);
        uint16 own = word.organisation();
        uint256 delivery_ = _deliveries[document_][own];
        if (uint8(delivery_) != DELIVERED) revert RecipientState(document_, own, uint8(delivery_), DELIVERED);
        _deliveries[document_][own] = (delivery_ & ~uint256(0xff)) | SIGNED_FOR | block.timestamp << 64;
        emit DocumentSignedFor(document_, own, word.identity(), onBehalfOf);
        _noteLateness(document_, own, STEP_SIGN_FOR, uint48(row >> 48));
    }

    /// @inheritdoc ICorrectionDocuments
    function returnForCorrection(bytes32 document_, bytes32 reason, bytes16 onBehalfOf) external {
        uint256 word = _acting(onBehalfOf);
        _require(word, STAFF, HANDLER);
        _documentOf(document_, SUBMITTED);
        uint16 own = word.organisation();
        uint256 delivery_ = _deliveries[document_][own];
        uint8 state = uint8(delivery_);
        if (state != DELIVERED && state != SIGNED_FOR) revert RecipientState(document_, own, state, DELIVERED);
        _deliveries[document_][own] = (delivery_ & ~uint256(0xff)) | RETURNED;
        emit DocumentReturned(document_, own, reason, word.identity(), onBehalfOf);
    }

    /// @inheritdoc ICorrectionDocuments
    function supersede(bytes32 document_, bytes32 successor, bytes16 onBehalfOf) external {
        uint256 word = _acting(onBehalfOf);
        _require(word, STAFF, HANDLER);
        uint256 row = _documentOf(document_, SUBMITTED);
        uint16 own = uint16(row >> 24);
        _requireOrganisation(word, own);
        uint256 other = _documentOf(successor, SUBMITTED);
        // the same code from the same organisation: bits 8..39
        if (successor == document_ || uint32(row >> 8) != uint32(other >> 8)) revert SuccessorInvalid(document_, successor);
        _documents[document_] = (row & ~uint256(0xff)) | SUPERSEDED;
        emit DocumentSuperseded(document_, successor, own, word.identity(), onBehalfOf);
    }

    /// @inheritdoc ICorrectionDocuments
    function pokeDeadline(bytes32 document_, uint16 organisation) external {
        uint256 word = _standing();
        _requireKind(word, CORRECTION_KINDS);
        if (word.domain() == SERVICES) _require(word, SERVICES, SERVICE);
        else _require(word, STAFF, SUPERVISOR);
        uint256 row = _documentOf(document_, SUBMITTED);
        uint48 due;
        if (organisation == 0) {
            if (uint8(row >> 40) != 0) revert BreachRecorded(document_, 0);
            due = uint48(row >> 48);
            if (_allDelivered(document_)) due = 0;
            _documents[document_] = row | uint256(1) << 40;
        } else {
            uint256 delivery_ = _deliveries[document_][organisation];
            if (uint8(delivery_ >> 8) != 0) revert BreachRecorded(document_, organisation);
            uint8 state = uint8(delivery_);
            if (state == DELIVERED || state == SIGNED_FOR) due = uint48(delivery_ >> 112);
            _deliveries[document_][organisation] = delivery_ | uint256(1) << 8;
        }
        if (due == 0 || block.timestamp <= due) revert NotOverdue(document_, due, uint48(block.timestamp));
        emit DeadlineBreach(document_, organisation, due, uint48(block.timestamp - due), word.identity());
    }

    /// @inheritdoc ICorrectionDocuments
    function setRule(uint16 code, Rule calldata rule_) external governed {
        bool restricted = rule_.class == RESTRICTED;
        if (
            rule_.class == 0 || rule_.class > RESTRICTED || (code == RESTRICTED_CODE && !restricted)
                || uint256(rule_.senders) & ~uint256(0xfffe) != 0 || rule_.senders == 0 || rule_.recipients == 0
                || rule_.amount > MAXIMUM_LIMIT || rule_.replyAmount > MAXIMUM_LIMIT || rule_.flags > 3 || rule_.start > 3
                || (rule_.amount != 0 && (rule_.unit == 0 || rule_.unit > Deadlines.MONTH || rule_.start == 0))
                || (rule_.replyAmount != 0 && (rule_.replyUnit == 0 || rule_.replyUnit > Deadlines.MONTH))
                || (rule_.flags & Deadlines.BACKWARDS != 0 && rule_.unit != Deadlines.DAY)
        ) revert RuleInvalid(code);
        if (rule_.effectiveFrom > block.timestamp) {
            revert RuleNotYetEffective(code, rule_.effectiveFrom, uint48(block.timestamp));
        }
        uint256 row = uint256(rule_.senders) | uint256(rule_.recipients) << 16 | uint256(rule_.copies) << 32
            | uint256(rule_.class) << 48 | uint256(rule_.amount) << 56 | uint256(rule_.unit) << 72 | uint256(rule_.start) << 80
            | uint256(rule_.flags) << 88 | uint256(rule_.replyAmount) << 160 | uint256(rule_.replyUnit) << 176
            | uint256(rule_.effectiveFrom) << 184;
        for (uint256 i = 0; i < 4; ++i) {
            row |= uint256(rule_.replies[i]) << (96 + 16 * i);
        }
        _rules[code] = row;
        emit RuleSet(code, rule_);
    }

    /// @inheritdoc ICorrectionDocuments
    function setHolidays(uint256 day256, uint256 exceptions) external governed {
        _holidays[day256] = exceptions;
        emit HolidaysSet(day256, exceptions);
    }

    /// @inheritdoc ICorrectionDocuments
    function setOrganisationKind(uint16 organisation, uint8 kind) external {
        if (msg.sender != CONSORTIUM) revert WrongCaller(msg.sender, CONSORTIUM);
        uint256 shift = uint256(organisation & 0x3f) * 4;
        uint256 word = _kinds[organisation >> 6];
        _kinds[organisation >> 6] = (word & ~(uint256(0xf) << shift)) | uint256(kind) << shift;
    }

    /// @inheritdoc ICorrectionDocuments
    function document(bytes32 id)
        external
        view
        returns (
            uint8 state, uint16 code, uint16 organisation, uint48 legalDate, uint48 due, uint48 submittedAt, bytes32 manifestHash,
            uint256 recipients, bytes32 inReplyTo, bytes16 drafter, bytes16 draftedFor
        )
    {
        uint256 row = _documents[id];
        state = uint8(row);
        code = uint16(row >> 8);
        organisation = uint16(row >> 24);
        due = uint48(row >> 48);
        legalDate = uint48(row >> 96);
        submittedAt = uint48(row >> 144);
        manifestHash = _manifests[id];
        recipients = _recipients[id];
        inReplyTo = _inReplyTo[id];
        drafter = bytes16(uint128(_drafters[id]));
        draftedFor = bytes16(uint128(_drafters[id] >> 128));
    }

    /// @inheritdoc ICorrectionDocuments
    function delivery(bytes32 id, uint16 organisation)
        external
        view
        returns (uint8 state, uint48 deliveredAt, uint48 signedAt, uint48 replyDue, bool breached)
    {
        uint256 row = _deliveries[id][organisation];
        return (uint8(row), uint48(row >> 16), uint48(row >> 64), uint48(row >> 112), uint8(row >> 8) != 0);
    }

    /// @inheritdoc ICorrectionDocuments
    function rule(uint16 code) external view returns (Rule memory result) {
        uint256 row = _rules[code];
        result.senders = uint16(row);
        result.recipients = uint16(row >> 16);
        result.copies = uint16(row >> 32);
        result.class = uint8(row >> 48);
        result.amount = uint16(row >> 56);
        result.unit = uint8(row >> 72);
        result.start = uint8(row >> 80);
        result.flags = uint8(row >> 88);
        for (uint256 i = 0; i < 4; ++i) {
            result.replies[i] = uint16(row >> (96 + 16 * i));
        }
        result.replyAmount = uint16(row >> 160);
        result.replyUnit = uint8(row >> 176);
        result.effectiveFrom = uint48(row >> 184);
    }

    /// @inheritdoc ICorrectionDocuments
    function holidays(uint256 day256) external view returns (uint256) {
        return _holidays[day256];
    }

    /// @inheritdoc ICorrectionDocuments
    function dueTime(uint16 code, uint48 legalDate) external view returns (uint48) {
        return _due(code, legalDate);
    }

    /// @dev Approving and sealing: the right role of the sender's organisation, the state before, exactly this manifest.
    function _step(bytes32 document_, bytes16 onBehalfOf, uint32 role, uint8 from, uint8 to, bytes32 manifestHash)
        private
        returns (uint256 word)
    {
        word = _acting(onBehalfOf);
        _require(word, STAFF, role);
        uint256 row = _documentOf(document_, from);
        _requireOrganisation(word, uint16(row >> 24));
        if (_manifests[document_] != manifestHash) revert ManifestMismatch(manifestHash, _manifests[document_]);
        _documents[document_] = (row & ~uint256(0xff)) | to;
    }

    function _documentOf(bytes32 document_, uint8 state) private view returns (uint256 row) {
        row = _documents[document_];
        if (uint8(row) == state) return row;
        if (row == 0) revert DocumentUnknown(document_);
        revert DocumentState(document_, uint8(row), state);
    }

    /// @dev The packed recipients, if the code may go from this sender to them.
    function _checkAddressees(uint16 code, uint256 word, uint16[] calldata to, uint16[] calldata copies)
        private
        view
        returns (uint256 recipients)
    {
        uint256 rule_ = _rules[code];
        if (rule_ == 0) revert CodeUnknown(code);
        if (uint8(rule_ >> 48) == RESTRICTED && code != RESTRICTED_CODE) revert CodeRestricted(code);
        uint8 kind = word.kind();
        if (rule_ >> kind & 1 == 0) revert SenderNotAllowed(code, kind, uint16(rule_));
        uint256 count = to.length;
        uint256 copyCount = copies.length;
        if (count == 0 || count > Recipients.LANES || copyCount > Recipients.LANES) {
            revert RecipientCount(count, copyCount, Recipients.LANES);
        }
        uint256 seen = uint256(1) << word.organisation();
        unchecked {
            for (uint256 i = 0; i < count; ++i) {
                uint16 party = to[i];
                (kind, seen) = _kindOf(party, seen);
                if (rule_ >> (16 + kind) & 1 == 0) revert RecipientNotAllowed(code, party, kind, uint16(rule_ >> 16));
                recipients |= uint256(party) << (16 * i);
            }
            for (uint256 i = 0; i < copyCount; ++i) {
                uint16 party = copies[i];
                (kind, seen) = _kindOf(party, seen);
                if (rule_ >> (32 + kind) & 1 == 0) revert CopyNotAllowed(code, party, kind, uint16(rule_ >> 32));
                recipients |= uint256(party) << (Recipients.COPIES_SHIFT + 16 * i);
            }
        }
    }

    /// @dev Kind of an organisation or of an outside party (0 = unknown, which no mask allows), and the set of those seen.
    function _kindOf(uint16 party, uint256 seen) private view returns (uint8 kind, uint256) {
        uint256 bit;
        unchecked {
            if (party <= MAXIMUM_ORGANISATION) {
                kind = uint8(_kinds[party >> 6] >> (uint256(party & 0x3f) * 4) & 0xf);
                bit = uint256(1) << party;
            } else if (party >= OUTSIDE + FIRST_OUTSIDE_KIND && party <= OUTSIDE + LAST_KIND) {
                kind = uint8(party);
                bit = uint256(1) << (uint256(MAXIMUM_ORGANISATION) + kind);
            }
        }
        if (seen & bit != 0) revert RecipientTwice(party);
        return (kind, seen | bit);
    }

    /// @dev An answer comes from a recipient that signed for (or returned) the document, goes to its sender, and has a code that answers it.
    function _checkReply(bytes32 answered, uint16 code, uint16 own, uint256 recipients) private view {
        uint256 row = _documentOf(answered, SUBMITTED);
        uint256 delivery_ = _deliveries[answered][own];
        if (uint8(delivery_) < SIGNED_FOR) revert RecipientState(answered, own, uint8(delivery_), SIGNED_FOR);
        uint16 sender = uint16(row >> 24);
        if (recipients.find(sender) != 1) revert NotRecipient(answered, sender);
        uint16 answeredCode = uint16(row >> 8);
        // The true codes of restricted documents are not known here; their recipients check.
        if (code == RESTRICTED_CODE || answeredCode == RESTRICTED_CODE) return;
        uint256 replies = _rules[answeredCode] >> 96 & type(uint64).max;
        while (replies != 0) {
            if (uint16(replies) == code) return;
            replies >>= 16;
        }
        revert ReplyNotAllowed(code, answeredCode);
    }

    function _recordReply(bytes32 answered, bytes32 reply, uint16 own) private {
        uint256 delivery_ = _deliveries[answered][own];
        emit DocumentReplied(answered, reply, own);
        if (uint8(delivery_) != SIGNED_FOR) return;
        _deliveries[answered][own] = (delivery_ & ~uint256(0xff)) | REPLIED;
        _noteLateness(answered, own, STEP_REPLY, uint48(delivery_ >> 112));
    }

    function _allDelivered(bytes32 document_) private view returns (bool) {
        uint256 recipients = _recipients[document_];
        for (uint256 i = 0; i < 2 * Recipients.LANES; ++i) {
            uint256 party = uint16(recipients >> (16 * i));
            if (party != 0 && _deliveries[document_][party] == 0) return false;
        }
        return true;
    }

    /// @dev The due time of a code from its declared legal date; 0 = no limit.
    function _due(uint16 code, uint48 legalDate) private view returns (uint48) {
        uint256 rule_ = _rules[code];
        uint256 flags = uint8(rule_ >> 88);
        // Only an expiry that a limit is counted back from may lie ahead.
        if (flags & Deadlines.BACKWARDS == 0 && legalDate > block.timestamp + DATE_TOLERANCE) {
            revert LegalDateInvalid(legalDate, block.timestamp + DATE_TOLERANCE);
        }
        uint256 amount = uint16(rule_ >> 56);
        if (amount == 0 || code == RESTRICTED_CODE) return 0;
        if (legalDate == 0) revert LegalDateMissing(code);
        return uint48(Deadlines.due(_holidays, legalDate, amount, uint8(rule_ >> 72), flags));
    }

    function _noteLateness(bytes32 document_, uint16 organisation, uint8 step, uint48 due) private {
        if (due != 0 && block.timestamp > due) emit StepLate(document_, organisation, step, due, uint48(block.timestamp - due));
    }
}
