// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Access} from "../access/Access.sol";
import {APPROVER, CORRECTION_KINDS, HANDLER, JUSTICE, STAFF} from "../access/Constants.sol";
import {Standing} from "../access/Standing.sol";
import {ICorrectionCases} from "./ICorrectionCases.sol";

/// @title CorrectionCases at its fixed address
contract CorrectionCases is Access, ICorrectionCases {
    using Standing for uint256;

    uint8 internal constant ASSESSMENT = 1;
    uint8 internal constant DECIDED = 2;
    uint8 internal constant NOTIFIED = 3;
    uint8 internal constant RECEIVED = 4;
    uint8 internal constant SERVING = 6;
    uint8 internal constant EXPIRING = 7;
    uint8 internal constant RELEASED = 8;
    uint8 internal constant TERMINATED = 9;
    uint8 internal constant MOVED = 10;

    /// @dev Declared dates are of what has happened; one day of tolerance for clocks and time zones.
    uint256 internal constant DATE_TOLERANCE = 1 days;

    /// @dev caseId => state 8 bits | deciding 16 | executing 16 | legal date 48 | changed at 48
    mapping(bytes32 => uint256) private _cases;
    mapping(bytes32 => bytes32) private _commitments;

    /// @inheritdoc ICorrectionCases
    function open(
        bytes32 caseId, uint16 deciding, uint16 executing, uint8 state, uint48 legalDate, bytes32 commitment, bytes16 onBehalfOf
    ) external {
        uint256 word = _acting(onBehalfOf);
        _require(word, STAFF, HANDLER);
        if (deciding != 0) {
            // the deciding organ itself, any of 法/检/公
            _requireOrganisation(word, deciding);
            _requireKind(word, CORRECTION_KINDS & ~(uint256(1) << JUSTICE));
            if (executing == 0 || executing == deciding) revert OrganisationsInvalid(deciding, executing);
        } else {
            // decided by an organ outside the network: the executing bureau records it
            _requireOrganisation(word, executing);
            _requireKind(word, uint256(1) << JUSTICE);
        }
        if (caseId == 0) revert CaseIdInvalid(caseId);
        if (_cases[caseId] != 0) revert CaseExists(caseId);
        if (state != ASSESSMENT && state != DECIDED) revert StepNotAllowed(caseId, 0, state);
        _checkDate(legalDate);
        _cases[caseId] = _pack(state, deciding, executing, legalDate);
        _commitments[caseId] = commitment;
        emit CaseOpened(caseId, deciding, executing, state, legalDate, commitment, word.identity(), onBehalfOf);
    }

    /// @inheritdoc ICorrectionCases
    function advance(bytes32 caseId, uint8 state, uint48 legalDate, bytes32 commitment, bytes16 onBehalfOf) external {
        uint256 row = _cases[caseId];
        if (row == 0) revert CaseUnknown(caseId);
        uint8 previous = uint8(row);
        uint16 deciding = uint16(row >> 8);
        uint16 executing = uint16(row >> 24);
        if (!_follows(previous, state)) revert StepNotAllowed(caseId, previous, state);
        uint256 word = _acting(onBehalfOf);
        _require(word, STAFF, state >= RELEASED ? APPROVER : HANDLER);
        // Up to the notice the deciding organ acts, then the executing one; an assessment that ends is the deciding organ's too.
        bool ofDeciding = deciding != 0 && (state <= NOTIFIED || (state == TERMINATED && previous <= DECIDED));
        _requireOrganisation(word, ofDeciding ? deciding : executing);
        if (state == RECEIVED) _requireKind(word, uint256(1) << JUSTICE);
        _checkDate(legalDate);
        _cases[caseId] = _pack(state, deciding, executing, legalDate);
        emit CaseAdvanced(caseId, state, word.organisation(), previous, legalDate, commitment, word.identity(), onBehalfOf);
    }

    /// @inheritdoc ICorrectionCases
    function caseOf(bytes32 caseId)
        external
        view
        returns (uint8 state, uint16 deciding, uint16 executing, uint48 legalDate, uint48 changedAt, bytes32 commitment)
    {
        uint256 row = _cases[caseId];
        return (uint8(row), uint16(row >> 8), uint16(row >> 24), uint48(row >> 40), uint48(row >> 88), _commitments[caseId]);
    }

    /// @dev One step forward up to 解除; 终止 ends any live case (death or a refused assessment can come at any time); 迁出 only from 在矫.
    function _follows(uint8 from, uint8 to) private pure returns (bool) {
        if (to == TERMINATED) return from <= EXPIRING;
        if (to == MOVED) return from == SERVING;
        return to <= RELEASED && to == from + 1;
    }

    function _checkDate(uint48 legalDate) private view {
        uint256 latest = block.timestamp + DATE_TOLERANCE;
        if (legalDate == 0 || legalDate > latest) revert LegalDateInvalid(legalDate, latest);
    }

    function _pack(uint8 state, uint16 deciding, uint16 executing, uint48 legalDate) private view returns (uint256) {
        return uint256(state) | uint256(deciding) << 8 | uint256(executing) << 24 | uint256(legalDate) << 40
            | block.timestamp << 88;
    }
}
