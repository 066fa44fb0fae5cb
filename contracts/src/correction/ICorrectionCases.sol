// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "../access/IAccess.sol";

/// @title CorrectionCases: the coarse state of a case of community correction
/// @notice States: 1 调查评估, 2 已决定, 3 已通知/待报到, 4 已接收, 5 已宣告, 6 在矫, 7 期满待解除, 8 解除, 9 终止, 10 迁出.
/// Ids are random; everything else about the case is inside the commitment.
interface ICorrectionCases is IAccess {
    event CaseOpened(
        bytes32 indexed caseId, uint16 indexed deciding, uint16 indexed executing, uint8 state, uint48 legalDate, bytes32 commitment, bytes16 by,
        bytes16 onBehalfOf
    );
    event CaseAdvanced(
        bytes32 indexed caseId, uint8 indexed state, uint16 indexed organisation, uint8 previousState, uint48 legalDate, bytes32 commitment,
        bytes16 by, bytes16 onBehalfOf
    );

    error CaseIdInvalid(bytes32 caseId);
    error CaseExists(bytes32 caseId);
    error CaseUnknown(bytes32 caseId);
    /// @notice The case cannot go from `from` to `to`.
    error StepNotAllowed(bytes32 caseId, uint8 from, uint8 to);
    error LegalDateInvalid(uint48 got, uint256 latest);
    error OrganisationsInvalid(uint16 deciding, uint16 executing);

    /// @notice Opens a case in state 1 (an assessment is asked for) or 2 (decided).
    /// @param deciding court, procuratorate or police that decides; 0 = an organ outside the network, recorded by the executing one.
    /// @param executing the justice bureau that executes.
    /// @param legalDate declared legal date of the state, unix seconds, not after tomorrow.
    function open(
        bytes32 caseId, uint16 deciding, uint16 executing, uint8 state, uint48 legalDate, bytes32 commitment, bytes16 onBehalfOf
    ) external;
    /// @notice Moves a case to its next state. Up to 3: a HANDLER of the deciding organisation; after that a HANDLER of the
    /// executing one; 8, 9 and 10 take an APPROVER.
    function advance(bytes32 caseId, uint8 state, uint48 legalDate, bytes32 commitment, bytes16 onBehalfOf) external;
    /// @notice The case as it stands; state 0 = unknown.
    function caseOf(bytes32 caseId)
        external
        view
        returns (uint8 state, uint16 deciding, uint16 executing, uint48 legalDate, uint48 changedAt, bytes32 commitment);
}
