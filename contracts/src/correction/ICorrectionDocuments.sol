// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "../access/IAccess.sol";

/// @title CorrectionDocuments: the life of a document between agencies
/// @notice Document states: 1 drafted, 2 approved, 3 sealed, 4 submitted, 5 superseded. States at a recipient: 1 delivered,
/// 2 signed for 已签收, 3 returned 退回补正, 4 replied 已回执.
/// Steps: 1 submit, 2 deliver, 3 sign for, 4 reply. Codes are D01…D56 as 1…56 (D36b = 536); 0 = the restricted class, whose true
/// code stands inside the sealed manifest. A recipient is an organisation id; 0xff00 + kind names one outside the network.
interface ICorrectionDocuments is IAccess {
    /// @notice What the consortium decided for one code. Masks: bit k = organisation kind k.
    struct Rule {
        uint16 senders;
        uint16 recipients;
        uint16 copies;
        /// 1 general, 2 restricted (only code 0 may be sent)
        uint8 class;
        /// limit for submitting, in units from the start event; 0 = none
        uint16 amount;
        /// 1 hour, 2 calendar day, 3 workday, 4 month
        uint8 unit;
        /// 1 生效 taking effect, 2 收到 receipt, 3 届满 expiry
        uint8 start;
        /// 1 = a last day that is no workday rolls on, 2 = counted back from the start
        uint8 flags;
        /// codes that may answer this one, the first is the one expected; 0 = none
        uint16[4] replies;
        /// limit for the reply, counted from delivery; 0 = none
        uint16 replyAmount;
        /// as `unit`
        uint8 replyUnit;
        /// unix seconds
        uint48 effectiveFrom;
    }

    /// @notice `recipients`: 16 lanes of 16 bits from the low-order end; lanes 0–7 主送, lanes 8–15 抄送.
    event DocumentDrafted(
        bytes32 indexed document, bytes32 indexed caseId, uint16 indexed organisation, uint16 code, bytes32 manifestHash, uint256 recipients,
        bytes32 inReplyTo, bytes16 by, bytes16 onBehalfOf
    );
    event DocumentApproved(bytes32 indexed document, uint16 indexed organisation, bytes32 manifestHash, bytes16 by, bytes16 onBehalfOf);
    event DocumentSealed(bytes32 indexed document, uint16 indexed organisation, bytes32 manifestHash, bytes16 by, bytes16 onBehalfOf);
    /// @notice due 0 = no limit.
    event DocumentSubmitted(
        bytes32 indexed document, uint16 indexed organisation, uint48 legalDate, uint48 due, bytes16 by, bytes16 onBehalfOf
    );
    /// @notice The recipient's service stored and checked the document; `replyDue` 0 = no reply is expected.
    event DocumentDelivered(bytes32 indexed document, uint16 indexed organisation, uint48 replyDue, bytes16 by);
    /// @notice Handed to a recipient outside the network (kind + 0xff00); `evidence` commits to the proof of it.
    event DocumentHandedOver(
        bytes32 indexed document, uint16 indexed recipient, uint16 indexed organisation, bytes32 evidence, bytes16 by, bytes16 onBehalfOf
    );
    event DocumentSignedFor(bytes32 indexed document, uint16 indexed organisation, bytes16 by, bytes16 onBehalfOf);
    event DocumentReturned(bytes32 indexed document, uint16 indexed organisation, bytes32 reason, bytes16 by, bytes16 onBehalfOf);
    event DocumentReplied(bytes32 indexed document, bytes32 indexed reply, uint16 indexed organisation);
    event DocumentSuperseded(bytes32 indexed document, bytes32 indexed successor, uint16 indexed organisation, bytes16 by, bytes16 onBehalfOf);
    /// @notice A step taken `lateBy` seconds after its due time.
    event StepLate(bytes32 indexed document, uint16 indexed organisation, uint8 indexed step, uint48 due, uint48 lateBy);
    /// @notice A due time passed without the step: organisation 0 = the document itself, else that recipient's reply. Once each.
    event DeadlineBreach(bytes32 indexed document, uint16 indexed organisation, uint48 due, uint48 lateBy, bytes16 by);
    event RuleSet(uint16 indexed code, Rule rule);
    /// @notice Day numbers are days since 1970-01-01 in China time; a set bit turns a weekday into a holiday or a weekend day into a workday.
    event HolidaysSet(uint256 indexed word, uint256 exceptions);

    error DocumentIdInvalid(bytes32 document);
    error DocumentExists(bytes32 document);
    error DocumentUnknown(bytes32 document);
    error DocumentState(bytes32 document, uint8 got, uint8 expected);
    error CodeUnknown(uint16 code);
    /// @notice A document of the restricted class is sent with code 0.
    error CodeRestricted(uint16 code);
    error SenderNotAllowed(uint16 code, uint8 kind, uint16 allowedKinds);
    error RecipientNotAllowed(uint16 code, uint16 recipient, uint8 kind, uint16 allowedKinds);
    error CopyNotAllowed(uint16 code, uint16 recipient, uint8 kind, uint16 allowedKinds);
    error RecipientCount(uint256 recipients, uint256 copies, uint256 maximum);
    /// @notice The recipient is named twice, or is the sender.
    error RecipientTwice(uint16 recipient);
    error ManifestInvalid(bytes32 got);
    error ManifestMismatch(bytes32 got, bytes32 expected);
    /// @notice The approver drafted the document, or acts for who drafted it.
    error OwnDraft(bytes16 identity);
    error NotRecipient(bytes32 document, uint16 organisation);
    error RecipientState(bytes32 document, uint16 organisation, uint8 got, uint8 expected);
    /// @notice `code` is not an answer to documents of code `answered`.
    error ReplyNotAllowed(uint16 code, uint16 answered);
    error LegalDateInvalid(uint48 got, uint256 latest);
    error LegalDateMissing(uint16 code);
    error NotOverdue(bytes32 document, uint48 due, uint48 now_);
    error BreachRecorded(bytes32 document, uint16 organisation);
    error SuccessorInvalid(bytes32 document, bytes32 successor);
    error RuleInvalid(uint16 code);
    error RuleNotYetEffective(uint16 code, uint48 effectiveFrom, uint48 now_);

    /// @notice A HANDLER drafts a document; signing this call is the 承办人's signature on the manifest.
    /// @param caseId the case's random id; 0 = no case.
    /// @param to 主送, 1–8; `copies` 抄送, 0–8.
    /// @param inReplyTo the document answered; 0 = none.
    /// @param onBehalfOf the principal a deputy acts for; 0 = themself.
    function draft(
        bytes32 document, bytes32 caseId, uint16 code, bytes32 manifestHash, uint16[] calldata to, uint16[] calldata copies,
        bytes32 inReplyTo, bytes16 onBehalfOf
    ) external;
    /// @notice An APPROVER of the same organisation, not the drafter, approves exactly this manifest.
    function approve(bytes32 document, bytes32 manifestHash, bytes16 onBehalfOf) external;
    /// @notice A SEALER of the same organisation puts the organisation's seal on exactly the approved manifest.
    function seal(bytes32 document, bytes32 manifestHash, bytes16 onBehalfOf) external;
    /// @notice A HANDLER of the same organisation sends the sealed document.
    /// @param legalDate declared date the limit runs from (生效/收到/届满), unix seconds; 0 where the rule has no limit.
    function submit(bytes32 document, uint48 legalDate, bytes16 onBehalfOf) external;
    /// @notice The SERVICE of a recipient reports that it stored and checked the document.
    function deliver(bytes32 document, bytes32 manifestHash) external;
    /// @notice A HANDLER of the sender records the handing over to a recipient outside the network.
    function recordHandover(bytes32 document, uint16 recipient, bytes32 evidence, bytes16 onBehalfOf) external;
    /// @notice 签收: a HANDLER of a recipient signs for a delivered document.
    function signFor(bytes32 document, bytes16 onBehalfOf) external;
    /// @notice 退回补正: a HANDLER of a recipient returns it; `reason` commits to the reasons.
    function returnForCorrection(bytes32 document, bytes32 reason, bytes16 onBehalfOf) external;
    /// @notice A HANDLER of the sender marks a submitted document as replaced by another submitted one of the same code.
    function supersede(bytes32 document, bytes32 successor, bytes16 onBehalfOf) external;
    /// @notice Any SERVICE of a correction agency, or a SUPERVISOR, records a breach: organisation 0 = the document's own limit.
    function pokeDeadline(bytes32 document, uint16 organisation) external;

    /// @notice By vote on correction rules, or at genesis.
    function setRule(uint16 code, Rule calldata rule) external;
    /// @notice By vote on correction rules, or at genesis: 256 days from day `word` * 256.
    function setHolidays(uint256 word, uint256 exceptions) external;
    /// @notice Called by the Consortium when an organisation is added.
    function setOrganisationKind(uint16 organisation, uint8 kind) external;

    function document(bytes32 id)
        external
        view
        returns (
            uint8 state, uint16 code, uint16 organisation, uint48 legalDate, uint48 due, uint48 submittedAt, bytes32 manifestHash, uint256 recipients,
            bytes32 inReplyTo, bytes16 drafter, bytes16 draftedFor
        );
    function delivery(bytes32 id, uint16 organisation)
        external
        view
        returns (uint8 state, uint48 deliveredAt, uint48 signedAt, uint48 replyDue, bool breached);
    function rule(uint16 code) external view returns (Rule memory);
    function holidays(uint256 word) external view returns (uint256 exceptions);
    /// @notice The due time of a code for a legal date: the last second that is in time; 0 = no limit.
    function dueTime(uint16 code, uint48 legalDate) external view returns (uint48);
}
