// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CONSORTIUM, CORRECTION_DOCUMENTS, DATA_BUREAU, LOVE_BANK, STAFF, SYSTEM} from "../src/access/Constants.sol";
import {IAccess} from "../src/access/IAccess.sol";
import {ICountersigned} from "../src/access/ICountersigned.sol";
import {IConsortium} from "../src/consortium/IConsortium.sol";
import {ICorrectionDocuments} from "../src/correction/ICorrectionDocuments.sol";
import {ILoveBank} from "../src/sharing/ILoveBank.sol";
import {DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

contract ConsortiumTest is DistrictTest {
    bytes32 internal constant ID = keccak256("proposal");

    function propose(uint16 organisation, address target, bytes memory data) internal {
        as_("approver", organisation);
        consortium.propose(ID, target, data);
    }

    function yes(uint16 organisation) internal {
        as_("approver", organisation);
        consortium.vote(ID, true);
    }

    function execute(uint16 organisation, address target, bytes memory data) internal {
        as_("approver", organisation);
        consortium.execute(ID, target, data);
    }

    function testMembershipTakesMoreThanTwoThirds() public {
        bytes memory data = abi.encodeCall(consortium.addOrganisation, (8, DATA_BUREAU, keccak256("key"), 0));
        propose(COURT_ID, CONSORTIUM, data);
        for (uint16 id = 1; id <= 4; ++id) {
            yes(id);
        }
        as_("approver", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.MajorityMissing.selector, 4, 7, 2, 3));
        consortium.execute(ID, CONSORTIUM, data);
        yes(5);
        execute(AUDITOR_ID, CONSORTIUM, data);
        (uint8 kind, uint8 status,,) = consortium.organisation(8);
        vm.assertEq(kind, DATA_BUREAU);
        vm.assertEq(status, 1);
        as_("approver", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.ProposalClosed.selector, ID));
        consortium.execute(ID, CONSORTIUM, data);
    }

    function testOneVotePerOrganisation() public {
        bytes memory data = abi.encodeCall(consortium.setDeployer, (address(1), true));
        propose(COURT_ID, CONSORTIUM, data);
        yes(COURT_ID);
        as_("everything", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.AlreadyVoted.selector, ID, COURT_ID));
        consortium.vote(ID, true);
    }

    function testCommunityAndAuditorHaveNoVoteOnCorrectionRules() public {
        ICorrectionDocuments.Rule memory rule = documents.rule(7);
        rule.amount = 12;
        bytes memory data = abi.encodeCall(documents.setRule, (7, rule));
        as_("approver", COMMUNITY_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.NoVote.selector, COMMUNITY_ID, 6));
        consortium.propose(ID, CORRECTION_DOCUMENTS, data);
        propose(COURT_ID, CORRECTION_DOCUMENTS, data);
        as_("approver", AUDITOR_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.NoVote.selector, AUDITOR_ID, 6));
        consortium.vote(ID, true);
        yes(COURT_ID);
        yes(JUSTICE_ID);
        as_("approver", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.MajorityMissing.selector, 2, 4, 1, 2));
        consortium.execute(ID, CORRECTION_DOCUMENTS, data);
        yes(POLICE_ID);
        execute(POLICE_ID, CORRECTION_DOCUMENTS, data);
        vm.assertEq(documents.rule(7).amount, 12);
    }

    function testCorrectionAgenciesHaveNoVoteOnPoints() public {
        bytes memory data = abi.encodeCall(ILoveBank.setParameters, (2_000, 600));
        as_("approver", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.NoVote.selector, COURT_ID, 7));
        consortium.propose(ID, LOVE_BANK, data);
        propose(COMMUNITY_ID, LOVE_BANK, data);
        yes(COMMUNITY_ID);
        as_("approver", COMMUNITY_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.MajorityMissing.selector, 2, 4, 1, 2));
        consortium.execute(ID, LOVE_BANK, data);
        yes(BUREAU_ID);
        execute(COMMUNITY_ID, LOVE_BANK, data);
        (uint64 maxIssue,) = bank.parameters();
        vm.assertEq(maxIssue, 2_000);
    }

    function testOnlyKnownFunctionsCanBeVotedOn() public {
        as_("approver", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.TopicUnknown.selector, LOVE_BANK, ILoveBank.hold.selector));
        consortium.propose(ID, LOVE_BANK, abi.encodeCall(ILoveBank.hold, (ID, bytes16(uint128(1)), 1)));
    }

    function testWhatIsExecutedIsWhatWasVotedOn() public {
        bytes memory data = abi.encodeCall(consortium.setDeployer, (address(1), true));
        propose(COURT_ID, CONSORTIUM, data);
        bytes memory other = abi.encodeCall(consortium.setDeployer, (address(2), true));
        as_("approver", COURT_ID);
        vm.expectPartialRevert(IConsortium.ProposalMismatch.selector);
        consortium.execute(ID, CONSORTIUM, other);
        vm.warp(NOW + 91 days);
        as_("approver", COURT_ID);
        vm.expectPartialRevert(IConsortium.ProposalExpired.selector);
        consortium.vote(ID, true);
    }

    function testHandlersDoNotVote() public {
        as_("handler", COURT_ID);
        vm.expectPartialRevert(IAccess.RoleMissing.selector);
        consortium.propose(ID, CONSORTIUM, abi.encodeCall(consortium.setDeployer, (address(1), true)));
    }

    function testTheLastVoterIsNotSuspended() public {
        vm.prank(CONSORTIUM);
        consortium.suspendOrganisation(COURT_ID);
        vm.prank(CONSORTIUM);
        consortium.suspendOrganisation(PROCURATORATE_ID);
        vm.prank(CONSORTIUM);
        consortium.suspendOrganisation(POLICE_ID);
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.LastVoter.selector, JUSTICE_ID, 6));
        consortium.suspendOrganisation(JUSTICE_ID);
    }

    function testPeopleOfASuspendedOrganisationHaveNoStanding() public {
        vm.prank(CONSORTIUM);
        consortium.suspendOrganisation(COURT_ID);
        vm.assertEq(registry.standing(account("handler", COURT_ID)), 0);
        vm.prank(CONSORTIUM);
        consortium.resumeOrganisation(COURT_ID);
        vm.assertTrue(registry.standing(account("handler", COURT_ID)) != 0);
    }

    function testTheLastWayToVoteStaysOpen() public {
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.LastGoverningRelyingParty.selector, STAFF_PARTY));
        consortium.setCallable(STAFF_PARTY, CONSORTIUM, false);
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.LastGoverningRelyingParty.selector, STAFF_PARTY));
        consortium.setRelyingParty(STAFF_PARTY, IConsortium.RelyingParty(RP_ID_HASH, 0, 9, BUREAU_ID, 0, STAFF));
    }

    function testRulesThatWouldStopTheChainAreRefused() public {
        IConsortium.Rules memory row = firstRules();
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.RulesInvalid.selector, 0, 0));
        consortium.addRules(row);
        row.activationHeight = 100;
        row.schemeGas[1] = 0;
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.RulesInvalid.selector, 11, 0));
        consortium.addRules(row);
        row.schemeGas[1] = 8_000;
        vm.prank(CONSORTIUM);
        consortium.addRules(row);
        vm.assertEq(consortium.rulesVersion(), 2);
    }

    function testNobodyChangesATableDirectly() public {
        as_("everything", COURT_ID);
        vm.expectPartialRevert(IAccess.WrongCaller.selector);
        consortium.setDeployer(address(1), true);
    }

    function testEncryptionKeyTakesTwoRegistrars() public {
        as_("registrar a", COURT_ID);
        consortium.rotateEncryptionKey(keccak256("new"));
        as_("registrar a", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICountersigned.SecondPersonRequired.selector, identity("registrar a", COURT_ID)));
        consortium.rotateEncryptionKey(keccak256("new"));
        as_("registrar b", COURT_ID);
        consortium.rotateEncryptionKey(keccak256("new"));
        (,, bytes32 encryptionKey,) = consortium.organisation(COURT_ID);
        vm.assertEq(encryptionKey, keccak256("new"));
    }

    function testACertificateTakesTwoRegistrars() public {
        bytes32 before = keccak256(abi.encode("ca", COURT_ID));
        as_("registrar a", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.CertificateUnchanged.selector, before));
        consortium.rotateCertificate(before);
        as_("registrar a", COURT_ID);
        consortium.rotateCertificate(keccak256("new"));
        (,,, bytes32 certificate) = consortium.organisation(COURT_ID);
        vm.assertEq(certificate, before);
        as_("registrar b", COURT_ID);
        consortium.rotateCertificate(keccak256("new"));
        (,,, certificate) = consortium.organisation(COURT_ID);
        vm.assertEq(certificate, keccak256("new"));
        as_("approver", COURT_ID);
        vm.expectPartialRevert(IAccess.RoleMissing.selector);
        consortium.rotateCertificate(0);
    }

    function testWhoHasVotedAndHow() public {
        propose(COURT_ID, CONSORTIUM, abi.encodeCall(consortium.setDeployer, (address(1), true)));
        yes(COURT_ID);
        as_("approver", POLICE_ID);
        consortium.vote(ID, false);
        vm.assertEq(consortium.voteOf(ID, COURT_ID), 1);
        vm.assertEq(consortium.voteOf(ID, POLICE_ID), 2);
        vm.assertEq(consortium.voteOf(ID, JUSTICE_ID), 0);
    }

    function testGenesisOnlyAsSystem() public {
        vm.prank(SYSTEM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.OrganisationExists.selector, COURT_ID));
        consortium.addOrganisation(COURT_ID, 3, keccak256("again"), 0);
    }
}
