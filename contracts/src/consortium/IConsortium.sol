// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "../access/IAccess.sol";
import {ICountersigned} from "../access/ICountersigned.sol";

/// @title Consortium: member organisations, what the node reads for admission, and the votes that change it
/// @notice Functions that change a table run at genesis (from SYSTEM) or as the effect of an executed vote (from this
/// contract). The topic of a vote follows from the function it calls, never from what the proposer says.
interface IConsortium is IAccess, ICountersigned {
    /// @notice A row of the rules table; it takes effect at the first height >= activationHeight.
    struct Rules {
        uint64 activationHeight;
        uint64 blockGas;
        uint64 transactionGas;
        uint64 correctionGas;
        uint64 identityGas;
        uint32 maxTransactionBytes;
        uint32 byteGas;
        uint32 baseGas;
        uint16 maxCalls;
        uint32 maxValidity;
        uint8 fork;
        uint32[8] schemeGas;
    }

    /// @notice A signing origin group. flags: 1 ANY_CONTRACT, 2 LOCALHOST_ANY_PORT.
    struct RelyingParty {
        bytes32 rpIdHash;
        uint64 fromHeight;
        uint64 untilHeight;
        uint16 organisation;
        uint8 flags;
        uint8 domain;
    }

    event OrganisationAdded(uint16 indexed organisation, uint8 indexed kind, bytes32 encryptionKey, bytes32 certificate);
    event OrganisationSuspended(uint16 indexed organisation);
    event OrganisationResumed(uint16 indexed organisation);
    event EncryptionKeyRotated(uint16 indexed organisation, bytes32 previousKey, bytes32 encryptionKey);
    event CertificateRotated(uint16 indexed organisation, bytes32 previousCertificate, bytes32 certificate);
    event PeerSet(bytes20 indexed nodeId, uint16 indexed organisation, bool allowed);
    event RelyingPartySet(
        bytes32 indexed relyingParty,
        uint16 indexed organisation,
        uint8 indexed domain,
        bytes32 rpIdHash,
        uint64 fromHeight,
        uint64 untilHeight,
        uint8 flags
    );
    event OriginSet(bytes32 indexed relyingParty, bytes32 indexed originHash, bool allowed, bytes origin);
    event CallableSet(bytes32 indexed relyingParty, address indexed target, bool allowed);
    event DeployerSet(address indexed account, bool allowed);
    event RulesAdded(uint256 indexed version, Rules rules);
    event ValidatorsChanged(uint256 indexed version, bytes32[] keys, uint64[] powers, uint16[] organisations);
    event ValidatorKeyRotated(
        uint256 indexed version, uint16 indexed organisation, bytes32 oldKey, bytes32 newKey, uint64 power
    );
    event Proposed(
        bytes32 indexed proposal, uint8 indexed topic, uint16 indexed organisation, bytes16 by, uint48 until, address target, bytes data
    );
    event Voted(bytes32 indexed proposal, uint16 indexed organisation, bytes16 by, bool approve);
    event Executed(bytes32 indexed proposal, uint8 indexed topic, uint256 approving, uint256 total);

    error OrganisationUnknown(uint16 organisation);
    error OrganisationExists(uint16 organisation);
    error OrganisationIdInvalid(uint16 got, uint16 maximum);
    error OrganisationKindInvalid(uint8 got);
    error OrganisationStatusUnchanged(uint16 organisation, uint8 status);
    error OrganisationNotActive(uint16 organisation);
    error EncryptionKeyInvalid(bytes32 got);
    error CertificateUnchanged(bytes32 certificate);
    error PeerInvalid(bytes20 nodeId);
    /// @notice The node is on the list already, as one of `organisation`.
    error PeerListed(bytes20 nodeId, uint16 organisation);
    /// @notice The list has no such node of `organisation`.
    error PeerUnknown(bytes20 nodeId, uint16 organisation);
    /// @notice `organisation` has as many nodes as it may have; 0 = all organisations together.
    error TooManyPeers(uint16 organisation, uint256 maximum);
    /// @notice Without `organisation` nobody could vote on `topic` any more.
    error LastVoter(uint16 organisation, uint8 topic);
    error RelyingPartyInvalid(bytes32 relyingParty);
    error RelyingPartyUnknown(bytes32 relyingParty);
    /// @notice No relying party would be left through which staff can reach this contract.
    error LastGoverningRelyingParty(bytes32 relyingParty);
    /// @notice Field number `field` (0 activationHeight … 11 schemeGas) of a rules row is not acceptable.
    error RulesInvalid(uint8 field, uint256 got);
    error ValidatorInvalid(bytes32 key, uint64 power);
    error ValidatorUnknown(bytes32 key);
    /// @notice The validator belongs to `recorded`.
    error ValidatorOrganisation(bytes32 key, uint16 got, uint16 recorded);
    /// @notice The same key stands twice in one change, or the change says what is already so.
    error ValidatorUnchanged(bytes32 key);
    error NoValidatorLeft();
    /// @notice The powers changed sum up to more than a third of the total power before.
    error ValidatorChangeTooLarge(uint256 changed, uint256 total);
    /// @notice A third or more of the total power could be silent: what was given just now, and that of suspended organisations.
    error QuorumAtRisk(uint256 silent, uint256 total);
    /// @notice The change before this one is not in force yet.
    error ValidatorChangePending(uint256 height, uint256 earliest);
    error LengthMismatch(uint256 got, uint256 expected);
    error ProposalExists(bytes32 proposal);
    error ProposalUnknown(bytes32 proposal);
    error ProposalExpired(bytes32 proposal, uint48 until);
    error ProposalClosed(bytes32 proposal);
    /// @notice The call (target and data) is not the one that was voted on.
    error ProposalMismatch(bytes32 got, bytes32 expected);
    /// @notice The function may not be called by vote.
    error TopicUnknown(address target, bytes4 selector);
    /// @notice Organisations of this kind have no vote on the topic.
    error NoVote(uint16 organisation, uint8 topic);
    error AlreadyVoted(bytes32 proposal, uint16 organisation);
    /// @notice The weights approving so far, and what must be exceeded: approving * denominator > total * numerator.
    error MajorityMissing(uint256 approving, uint256 total, uint8 numerator, uint8 denominator);

    /// @notice Adds a member organisation. kind: 1 police, 2 procuratorate, 3 court, 4 justice, 5 community, 6 auditor, 7 data bureau.
    /// @param certificate SHA-256 of its certificate authority's certificate (DER); 0 = none.
    function addOrganisation(uint16 organisation, uint8 kind, bytes32 encryptionKey, bytes32 certificate) external;
    /// @notice Its people have no standing, its vote does not count and its nodes may not connect, until it is resumed.
    function suspendOrganisation(uint16 organisation) external;
    function resumeOrganisation(uint16 organisation) external;
    /// @notice Lets a node connect to the others, or no longer. nodeId: first 20 bytes of SHA-256 of its Ed25519 node key.
    function setPeer(bytes20 nodeId, uint16 organisation, bool allowed) external;
    /// @notice Sets a relying party's row; `untilHeight` 0 = no end.
    function setRelyingParty(bytes32 relyingParty, RelyingParty calldata row) external;
    function setOrigin(bytes32 relyingParty, bytes calldata origin, bool allowed) external;
    function setCallable(bytes32 relyingParty, address target, bool allowed) external;
    function setDeployer(address account, bool allowed) external;
    /// @notice Appends the next rules row; its version is the number of rows.
    function addRules(Rules calldata rules) external;
    /// @notice Sets the power of each key, an Ed25519 key of a machine of its organisation; 0 removes it.
    function changeValidators(bytes32[] calldata keys, uint64[] calldata powers, uint16[] calldata organisations) external;
    /// @notice Puts a new key in the place of a validator's old one; organisation and power stay.
    function rotateValidatorKey(bytes32 oldKey, bytes32 newKey) external;

    /// @notice Two registrars of an organisation replace the key that documents to it are sealed to.
    function rotateEncryptionKey(bytes32 encryptionKey) external;
    /// @notice Two registrars of an organisation replace the certificate of its authority (SHA-256 of the DER form); 0 = none.
    function rotateCertificate(bytes32 certificate) external;

    /// @notice Puts a call to a vote for 90 days. `proposal` is a random id. By an OPERATOR or APPROVER of a voting organisation.
    function propose(bytes32 proposal, address target, bytes calldata data) external;
    /// @notice Casts the vote of the caller's organisation, once.
    function vote(bytes32 proposal, bool approve) external;
    /// @notice Carries out a call that has its majority.
    function execute(bytes32 proposal, address target, bytes calldata data) external;

    /// @notice status: 0 unknown, 1 active, 2 suspended.
    function organisation(uint16 organisation_)
        external
        view
        returns (uint8 kind, uint8 status, bytes32 encryptionKey, bytes32 certificate);
    function organisations() external view returns (uint16[] memory);
    /// @notice The organisation as whose node it may connect now; 0 = it may not.
    function peer(bytes20 nodeId) external view returns (uint16);
    /// @notice At most `count` nodes of the list from `start` on, those of suspended organisations too, and how many there are.
    /// A removal moves the last one to the place that became free.
    function peers(uint256 start, uint256 count)
        external
        view
        returns (uint256 total, bytes20[] memory nodeIds, uint16[] memory organisations_);
    function relyingParty(bytes32 id) external view returns (RelyingParty memory row);
    function isOrigin(bytes32 relyingParty_, bytes calldata origin) external view returns (bool);
    function isCallable(bytes32 relyingParty_, address target) external view returns (bool);
    function isDeployer(address account) external view returns (bool);
    function rules(uint256 version) external view returns (Rules memory);
    function rulesVersion() external view returns (uint256);
    function validators()
        external
        view
        returns (uint256 version, bytes32[] memory keys, uint64[] memory powers, uint16[] memory organisations_);
    /// @notice topic: 1 membership, 2 validators, 3 rules, 4 relying parties, 5 deployers, 6 correction rules, 7 points.
    function topicOf(address target, bytes4 selector) external view returns (uint8 topic);
    /// @notice status: 0 unknown, 1 open, 2 executed.
    function proposal(bytes32 id)
        external
        view
        returns (uint8 status, uint8 topic, uint16 proposer, uint48 until, bytes32 payloadHash, uint256 approving, uint256 rejecting, uint256 total);
    /// @notice 0 not yet, 1 for, 2 against.
    function voteOf(bytes32 proposal_, uint16 organisation_) external view returns (uint8);
}
