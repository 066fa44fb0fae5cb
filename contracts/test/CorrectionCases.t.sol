// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "../src/access/IAccess.sol";
import {ICorrectionCases} from "../src/correction/ICorrectionCases.sol";
import {DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

contract CorrectionCasesTest is DistrictTest {
    bytes32 internal constant CASE = keccak256("case");
    bytes32 internal constant COMMITMENT = keccak256("commitment");

    function opened(uint8 state) internal {
        as_("handler", COURT_ID);
        cases.open(CASE, COURT_ID, JUSTICE_ID, state, uint48(NOW), COMMITMENT, 0);
    }

    function advance(string memory name, uint16 organisation, uint8 state) internal {
        as_(name, organisation);
        cases.advance(CASE, state, uint48(NOW), COMMITMENT, 0);
    }

    function testWholeLife() public {
        opened(1);
        advance("handler", COURT_ID, 2);
        advance("handler", COURT_ID, 3);
        for (uint8 state = 4; state <= 7; ++state) {
            advance("handler", JUSTICE_ID, state);
        }
        advance("approver", JUSTICE_ID, 8);
        (uint8 last,,,,,) = cases.caseOf(CASE);
        vm.assertEq(last, 8);
        as_("approver", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionCases.StepNotAllowed.selector, CASE, 8, 9));
        cases.advance(CASE, 9, uint48(NOW), COMMITMENT, 0);
    }

    function testReceivingIsTheExecutingBureaus() public {
        opened(2);
        advance("handler", COURT_ID, 3);
        as_("handler", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IAccess.WrongOrganisation.selector, COURT_ID, JUSTICE_ID));
        cases.advance(CASE, 4, uint48(NOW), COMMITMENT, 0);
    }

    function testEndingTakesAnApprover() public {
        opened(2);
        advance("handler", COURT_ID, 3);
        advance("handler", JUSTICE_ID, 4);
        as_("handler", JUSTICE_ID);
        vm.expectPartialRevert(IAccess.RoleMissing.selector);
        cases.advance(CASE, 9, uint48(NOW), COMMITMENT, 0);
        advance("approver", JUSTICE_ID, 9);
    }

    function testJusticeOpensForAnOrganOutside() public {
        as_("handler", JUSTICE_ID);
        cases.open(CASE, 0, JUSTICE_ID, 2, uint48(NOW), COMMITMENT, 0);
        advance("handler", JUSTICE_ID, 3);
        as_("handler", COMMUNITY_ID);
        vm.expectPartialRevert(IAccess.WrongOrganisationKind.selector);
        cases.open(COMMITMENT, COMMUNITY_ID, JUSTICE_ID, 2, uint48(NOW), COMMITMENT, 0);
    }

    function testFutureDatesAreRefused() public {
        as_("handler", COURT_ID);
        vm.expectPartialRevert(ICorrectionCases.LegalDateInvalid.selector);
        cases.open(CASE, COURT_ID, JUSTICE_ID, 2, uint48(NOW + 2 days), COMMITMENT, 0);
    }

    /// @dev From any state only the next one, 终止 of a live case and 迁出 from 在矫 are possible.
    function testFuzzNoStepIsSkipped(uint8 reached, uint8 to) public {
        reached = reached % 7 + 1;
        to = to % 14;
        opened(1);
        for (uint8 state = 2; state <= reached; ++state) {
            advance("handler", state <= 3 ? COURT_ID : JUSTICE_ID, state);
        }
        bool ofCourt = to <= 3 || (to == 9 && reached <= 2);
        as_(to >= 8 ? "approver" : "handler", ofCourt ? COURT_ID : JUSTICE_ID);
        (bool success,) = address(cases).call(abi.encodeCall(cases.advance, (CASE, to, uint48(NOW), COMMITMENT, 0)));
        bool allowed = (to == reached + 1 && to <= 8) || to == 9 || (to == 10 && reached == 6);
        vm.assertTrue(success == allowed, "step allowed wrongly or refused wrongly");
    }
}
