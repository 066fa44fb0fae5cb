// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {APPROVER, COURT, HANDLER, JUSTICE, STAFF} from "../src/access/Constants.sol";
import {IAccess} from "../src/access/IAccess.sol";
import {ICorrectionDocuments} from "../src/correction/ICorrectionDocuments.sol";
import {DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

contract CorrectionDocumentsTest is DistrictTest {
    bytes32 internal constant DOC = keccak256("document");
    bytes32 internal constant CASE = keccak256("case");
    bytes32 internal constant MANIFEST = keccak256("manifest");
    uint16 internal constant OUTSIDE_SUBJECT = 0xff0c;

    function draft(bytes32 id, uint16 code, uint16 to, string memory name, uint16 organisation) internal {
        as_(name, organisation);
        documents.draft(id, CASE, code, MANIFEST, one(to), new uint16[](0), 0, 0);
    }

    function one(uint16 party) internal pure returns (uint16[] memory list) {
        list = new uint16[](1);
        list[0] = party;
    }

    function submitted(bytes32 id, uint16 code, uint16 from, uint16 to, bytes32 inReplyTo) internal {
        as_("handler", from);
        documents.draft(id, CASE, code, MANIFEST, one(to), new uint16[](0), inReplyTo, 0);
        as_("approver", from);
        documents.approve(id, MANIFEST, 0);
        as_("sealer", from);
        documents.seal(id, MANIFEST, 0);
        as_("handler", from);
        documents.submit(id, uint48(block.timestamp), 0);
    }

    function stateOf(bytes32 id) internal view returns (uint8 state) {
        (state,,,,,,,,,,) = documents.document(id);
    }

    function testWholeLifeWithReceipt() public {
        submitted(DOC, 7, COURT_ID, JUSTICE_ID, 0);
        as_("service", JUSTICE_ID);
        documents.deliver(DOC, MANIFEST);
        as_("handler", JUSTICE_ID);
        documents.signFor(DOC, 0);
        submitted(keccak256("receipt"), 8, JUSTICE_ID, COURT_ID, DOC);
        (uint8 state,,, uint48 replyDue,) = documents.delivery(DOC, JUSTICE_ID);
        vm.assertEq(state, 4);
        // Five days from a Wednesday end with the Monday.
        vm.assertEq(replyDue, (block.timestamp + 28_800) / 86_400 * 86_400 + 6 * 86_400 - 28_800 - 1);
    }

    function testApproverIsNotTheDrafter() public {
        draft(DOC, 7, JUSTICE_ID, "everything", COURT_ID);
        as_("everything", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.OwnDraft.selector, identity("everything", COURT_ID)));
        documents.approve(DOC, MANIFEST, 0);
    }

    function testDeputyOfTheDrafterDoesNotApprove() public {
        draft(DOC, 7, JUSTICE_ID, "everything", COURT_ID);
        bytes16 principal = identity("everything", COURT_ID);
        bytes16 deputy = identity("sealer", COURT_ID);
        as_("registrar a", COURT_ID);
        registry.setDeputy(principal, deputy, APPROVER, uint48(NOW + 1 days));
        as_("registrar b", COURT_ID);
        registry.setDeputy(principal, deputy, APPROVER, uint48(NOW + 1 days));
        as_("sealer", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.OwnDraft.selector, principal));
        documents.approve(DOC, MANIFEST, principal);
    }

    function testDrafterForSomebodyDoesNotApproveForThem() public {
        bytes16 principal = identity("handler", COURT_ID);
        bytes16 deputy = identity("everything", COURT_ID);
        as_("registrar a", COURT_ID);
        registry.setDeputy(principal, deputy, HANDLER, uint48(NOW + 1 days));
        as_("registrar b", COURT_ID);
        registry.setDeputy(principal, deputy, HANDLER, uint48(NOW + 1 days));
        as_("everything", COURT_ID);
        documents.draft(DOC, CASE, 7, MANIFEST, one(JUSTICE_ID), new uint16[](0), 0, principal);
        as_("everything", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.OwnDraft.selector, deputy));
        documents.approve(DOC, MANIFEST, 0);
    }

    function testSealOnlyOfTheApprovedManifest() public {
        draft(DOC, 7, JUSTICE_ID, "handler", COURT_ID);
        as_("approver", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.ManifestMismatch.selector, keccak256("other"), MANIFEST));
        documents.approve(DOC, keccak256("other"), 0);
        as_("sealer", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.DocumentState.selector, DOC, 1, 2));
        documents.seal(DOC, MANIFEST, 0);
        as_("approver", COURT_ID);
        documents.approve(DOC, MANIFEST, 0);
        as_("sealer", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.ManifestMismatch.selector, keccak256("other"), MANIFEST));
        documents.seal(DOC, keccak256("other"), 0);
    }

    function testWrongSender() public {
        as_("handler", PROCURATORATE_ID);
        vm.expectRevert(
            abi.encodeWithSelector(ICorrectionDocuments.SenderNotAllowed.selector, 7, kindOf(PROCURATORATE_ID), uint16(1 << 3 | 1 << 1))
        );
        documents.draft(DOC, CASE, 7, MANIFEST, one(JUSTICE_ID), new uint16[](0), 0, 0);
    }

    function testWrongRecipientAndWrongCopy() public {
        as_("handler", COURT_ID);
        vm.expectRevert(
            abi.encodeWithSelector(ICorrectionDocuments.RecipientNotAllowed.selector, 7, POLICE_ID, kindOf(POLICE_ID), uint16(1 << JUSTICE))
        );
        documents.draft(DOC, CASE, 7, MANIFEST, one(POLICE_ID), new uint16[](0), 0, 0);
        as_("handler", COURT_ID);
        vm.expectPartialRevert(ICorrectionDocuments.CopyNotAllowed.selector);
        documents.draft(DOC, CASE, 7, MANIFEST, one(JUSTICE_ID), one(COMMUNITY_ID), 0, 0);
        as_("handler", COURT_ID);
        vm.expectPartialRevert(ICorrectionDocuments.RecipientNotAllowed.selector);
        documents.draft(DOC, CASE, 7, MANIFEST, one(99), new uint16[](0), 0, 0);
        uint16[] memory twice = new uint16[](2);
        (twice[0], twice[1]) = (JUSTICE_ID, JUSTICE_ID);
        as_("handler", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.RecipientTwice.selector, JUSTICE_ID));
        documents.draft(DOC, CASE, 7, MANIFEST, twice, new uint16[](0), 0, 0);
    }

    function testRestrictedCodesGoOutUnderCodeZero() public {
        as_("handler", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.CodeRestricted.selector, 41));
        documents.draft(DOC, CASE, 41, MANIFEST, one(COURT_ID), new uint16[](0), 0, 0);
        submitted(DOC, 0, JUSTICE_ID, COURT_ID, 0);
        vm.assertEq(stateOf(DOC), 4);
    }

    function testOnlyARecipientsServiceDelivers() public {
        submitted(DOC, 7, COURT_ID, JUSTICE_ID, 0);
        as_("service", POLICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.NotRecipient.selector, DOC, POLICE_ID));
        documents.deliver(DOC, MANIFEST);
        as_("handler", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(IAccess.WrongDomain.selector, STAFF, 3));
        documents.deliver(DOC, MANIFEST);
        as_("service", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.ManifestMismatch.selector, CASE, MANIFEST));
        documents.deliver(DOC, CASE);
        as_("service", JUSTICE_ID);
        documents.deliver(DOC, MANIFEST);
        as_("service", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.RecipientState.selector, DOC, JUSTICE_ID, 1, 0));
        documents.deliver(DOC, MANIFEST);
    }

    function testNoSigningBeforeDelivery() public {
        submitted(DOC, 7, COURT_ID, JUSTICE_ID, 0);
        as_("handler", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.RecipientState.selector, DOC, JUSTICE_ID, 0, 1));
        documents.signFor(DOC, 0);
    }

    function testReturnedThenSuperseded() public {
        submitted(DOC, 7, COURT_ID, JUSTICE_ID, 0);
        as_("service", JUSTICE_ID);
        documents.deliver(DOC, MANIFEST);
        as_("handler", JUSTICE_ID);
        documents.returnForCorrection(DOC, keccak256("reason"), 0);
        bytes32 better = keccak256("better");
        submitted(better, 7, COURT_ID, JUSTICE_ID, 0);
        as_("handler", COURT_ID);
        documents.supersede(DOC, better, 0);
        vm.assertEq(stateOf(DOC), 5);
        as_("handler", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.DocumentState.selector, DOC, 5, 4));
        documents.signFor(DOC, 0);
    }

    function testReplyNeedsSignatureRightCodeAndRightAddressee() public {
        submitted(DOC, 7, COURT_ID, JUSTICE_ID, 0);
        as_("handler", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.RecipientState.selector, DOC, JUSTICE_ID, 0, 2));
        documents.draft(CASE, CASE, 8, MANIFEST, one(COURT_ID), new uint16[](0), DOC, 0);
        as_("service", JUSTICE_ID);
        documents.deliver(DOC, MANIFEST);
        as_("handler", JUSTICE_ID);
        documents.signFor(DOC, 0);
        as_("handler", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.ReplyNotAllowed.selector, 12, 7));
        documents.draft(CASE, CASE, 12, MANIFEST, one(COURT_ID), new uint16[](0), DOC, 0);
        as_("handler", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.NotRecipient.selector, DOC, COURT_ID));
        documents.draft(CASE, CASE, 8, MANIFEST, one(POLICE_ID), new uint16[](0), DOC, 0);
    }

    function testHandoverOutsideTheNetwork() public {
        submitted(DOC, 16, JUSTICE_ID, OUTSIDE_SUBJECT, 0);
        as_("handler", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.NotRecipient.selector, DOC, 0xff0d));
        documents.recordHandover(DOC, 0xff0d, keccak256("evidence"), 0);
        as_("handler", JUSTICE_ID);
        documents.recordHandover(DOC, OUTSIDE_SUBJECT, keccak256("evidence"), 0);
        (uint8 state,,,,) = documents.delivery(DOC, OUTSIDE_SUBJECT);
        vm.assertEq(state, 1);
    }

    function testDeadlineBreachOnceAndOnlyWhenOverdue() public {
        submitted(DOC, 7, COURT_ID, JUSTICE_ID, 0);
        as_("supervisor", PROCURATORATE_ID);
        vm.expectPartialRevert(ICorrectionDocuments.NotOverdue.selector);
        documents.pokeDeadline(DOC, 0);
        vm.warp(NOW + 20 days);
        as_("service", COMMUNITY_ID);
        vm.expectPartialRevert(IAccess.WrongOrganisationKind.selector);
        documents.pokeDeadline(DOC, 0);
        as_("supervisor", PROCURATORATE_ID);
        documents.pokeDeadline(DOC, 0);
        as_("service", JUSTICE_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.BreachRecorded.selector, DOC, 0));
        documents.pokeDeadline(DOC, 0);
    }

    function testMissingReplyIsABreachOfTheRecipient() public {
        submitted(DOC, 7, COURT_ID, JUSTICE_ID, 0);
        as_("service", JUSTICE_ID);
        documents.deliver(DOC, MANIFEST);
        vm.warp(NOW + 9 days);
        as_("service", COURT_ID);
        documents.pokeDeadline(DOC, JUSTICE_ID);
        (,,,, bool breached) = documents.delivery(DOC, JUSTICE_ID);
        vm.assertTrue(breached);
    }

    function testLegalDates() public {
        draft(DOC, 7, JUSTICE_ID, "handler", COURT_ID);
        as_("approver", COURT_ID);
        documents.approve(DOC, MANIFEST, 0);
        as_("sealer", COURT_ID);
        documents.seal(DOC, MANIFEST, 0);
        as_("handler", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICorrectionDocuments.LegalDateMissing.selector, 7));
        documents.submit(DOC, 0, 0);
        as_("handler", COURT_ID);
        vm.expectPartialRevert(ICorrectionDocuments.LegalDateInvalid.selector);
        documents.submit(DOC, uint48(NOW + 2 days), 0);
    }

    function testRulesChangeByVoteOnly() public {
        ICorrectionDocuments.Rule memory rule = documents.rule(7);
        as_("everything", COURT_ID);
        vm.expectPartialRevert(IAccess.WrongCaller.selector);
        documents.setRule(7, rule);
    }

    /// @dev Whoever calls any step out of order or out of place is refused: the state stays what it was.
    function testFuzzNoStepIsSkipped(uint8 reached, uint8 attempt, uint16 organisation, uint8 who) public {
        reached = reached % 5;
        attempt = attempt % 4;
        organisation = organisation % ORGANISATIONS + 1;
        string[5] memory names = ["handler", "approver", "sealer", "everything", "service"];
        string memory name = names[who % 5];
        if (reached > 0) draft(DOC, 7, JUSTICE_ID, "handler", COURT_ID);
        if (reached > 1) {
            as_("approver", COURT_ID);
            documents.approve(DOC, MANIFEST, 0);
        }
        if (reached > 2) {
            as_("sealer", COURT_ID);
            documents.seal(DOC, MANIFEST, 0);
        }
        if (reached > 3) {
            as_("handler", COURT_ID);
            documents.submit(DOC, uint48(NOW), 0);
        }
        bytes memory call;
        if (attempt == 0) call = abi.encodeCall(documents.approve, (DOC, MANIFEST, 0));
        else if (attempt == 1) call = abi.encodeCall(documents.seal, (DOC, MANIFEST, 0));
        else if (attempt == 2) call = abi.encodeCall(documents.submit, (DOC, uint48(NOW), 0));
        else call = abi.encodeCall(documents.deliver, (DOC, MANIFEST));
        as_(name, organisation);
        (bool success,) = address(documents).call(call);
        bool rightPlace = attempt == 3 ? organisation == JUSTICE_ID : organisation == COURT_ID;
        bytes32 wanted = keccak256(bytes(attempt == 0 ? "approver" : attempt == 1 ? "sealer" : attempt == 2 ? "handler" : "service"));
        bool rightPerson = keccak256(bytes(name)) == wanted || (attempt < 3 && who % 5 == 3);
        vm.assertTrue(success == (reached == attempt + 1 && rightPlace && rightPerson), "step allowed wrongly or refused wrongly");
    }

    /// @dev Sender, recipient and copy are exactly those of the rule's masks.
    function testFuzzAddressees(uint16 from, uint16 to, uint16 copy) public {
        from = from % ORGANISATIONS + 1;
        to = to % ORGANISATIONS + 1;
        copy = copy % ORGANISATIONS + 1;
        bool allowed = (from == COURT_ID || from == POLICE_ID) && to == JUSTICE_ID && (copy == PROCURATORATE_ID || copy == POLICE_ID)
            && from != to && from != copy && to != copy;
        as_("handler", from);
        (bool success,) =
            address(documents).call(abi.encodeCall(documents.draft, (DOC, CASE, 7, MANIFEST, one(to), one(copy), 0, 0)));
        vm.assertTrue(success == allowed, "addressee allowed wrongly or refused wrongly");
    }
}
