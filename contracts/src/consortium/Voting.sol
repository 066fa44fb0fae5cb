// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {APPROVER, AUDIT, COMMUNITY, CORRECTION_KINDS, DATA_BUREAU, OPERATOR, STAFF} from "../access/Constants.sol";
import {Standing} from "../access/Standing.sol";
import {IConsortium} from "./IConsortium.sol";
import {Members} from "./Members.sol";

/// @title Calls that member organisations decide on together
/// @dev The topic of a vote, and with it who votes and how many are needed, follows from the function it calls.
abstract contract Voting is Members {
    using Standing for uint256;

    struct Proposal {
        bytes32 payloadHash;
        uint8 status;
        uint8 topic;
        uint16 proposer;
        uint48 until;
    }

    uint8 internal constant OPEN = 1;
    uint8 internal constant EXECUTED = 2;

    uint8 internal constant MEMBERSHIP = 1;
    uint8 internal constant VALIDATORS = 2;
    uint8 internal constant RULES = 3;
    uint8 internal constant RELYING_PARTIES = 4;
    uint8 internal constant DEPLOYERS = 5;
    uint8 internal constant CORRECTION_RULES = 6;
    uint8 internal constant POINTS = 7;

    uint8 internal constant YES = 1;
    uint8 internal constant NO = 2;
    uint256 internal constant VOTING_TIME = 90 days;

    mapping(bytes32 => Proposal) private _proposals;
    mapping(bytes32 => mapping(uint16 => uint8)) private _votes;

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

    /// @inheritdoc IConsortium
    function voteOf(bytes32 id, uint16 organisation_) external view returns (uint8) {
        return _votes[id][organisation_];
    }

    /// @dev The topic of a function that can be called by vote, else 0.
    function _topicOf(address target, bytes4 selector) internal view virtual returns (uint8);

    /// @dev Refuses if the organisation was the last to vote on a topic. One walk over the members for all topics.
    function _requireVoters(uint16 organisation_, uint8 kind) internal view {
        uint256 kinds;
        uint256 length = _memberIds.length;
        for (uint256 i = 0; i < length; ++i) {
            Member storage member = _members[_memberIds[i]];
            if (member.status == ACTIVE) kinds |= 1 << member.kind;
        }
        for (uint8 topic = MEMBERSHIP; topic <= POINTS; ++topic) {
            uint256 voting = _votingKinds(topic);
            if (voting >> kind & 1 != 0 && kinds & voting == 0) revert LastVoter(organisation_, topic);
        }
    }

    /// @dev A bit for each kind. Correction rules are for police, procuratorate, court and justice alone; points for community,
    /// data bureau and auditor; everything else for every member alike.
    function _votingKinds(uint8 topic) private pure returns (uint256) {
        if (topic == CORRECTION_RULES) return CORRECTION_KINDS;
        if (topic == POINTS) return 1 << COMMUNITY | 1 << DATA_BUREAU | 1 << AUDIT;
        return type(uint256).max;
    }

    /// @dev Who votes counts 1, but on points the community 2.
    function _weight(uint8 topic, uint8 kind) private pure returns (uint256) {
        if (topic == POINTS && kind == COMMUNITY) return 2;
        return _votingKinds(topic) >> kind & 1;
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
}
