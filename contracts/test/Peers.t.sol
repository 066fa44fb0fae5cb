// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CONSORTIUM} from "../src/access/Constants.sol";
import {IAccess} from "../src/access/IAccess.sol";
import {IConsortium} from "../src/consortium/IConsortium.sol";
import {DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

contract PeersTest is DistrictTest {
    function set(bytes20 nodeId, uint16 organisation, bool allowed) internal {
        vm.prank(CONSORTIUM);
        consortium.setPeer(nodeId, organisation, allowed);
    }

    function refuse(bytes20 nodeId, uint16 organisation, bool allowed, bytes memory reason) internal {
        vm.prank(CONSORTIUM);
        vm.expectRevert(reason);
        consortium.setPeer(nodeId, organisation, allowed);
    }

    function testAVoteLetsANodeConnect() public {
        bytes32 id = keccak256("proposal");
        bytes memory data = abi.encodeCall(consortium.setPeer, (node(9), JUSTICE_ID, true));
        as_("approver", COURT_ID);
        consortium.propose(id, CONSORTIUM, data);
        for (uint16 member = 1; member <= 5; ++member) {
            as_("approver", member);
            consortium.vote(id, true);
        }
        (, uint8 topic,,,, uint256 approving,, uint256 total) = consortium.proposal(id);
        vm.assertEq(topic, 1);
        vm.assertEq(approving, 5);
        vm.assertEq(total, 7);
        as_("approver", COURT_ID);
        consortium.execute(id, CONSORTIUM, data);
        vm.assertEq(consortium.peer(node(9)), JUSTICE_ID);
    }

    function testNobodySetsAPeerDirectly() public {
        as_("everything", COURT_ID);
        vm.expectPartialRevert(IAccess.WrongCaller.selector);
        consortium.setPeer(node(9), COURT_ID, true);
    }

    function testWhatMakesNoSenseIsRefused() public {
        refuse(0, COURT_ID, true, abi.encodeWithSelector(IConsortium.PeerInvalid.selector, bytes20(0)));
        refuse(node(9), 8, true, abi.encodeWithSelector(IConsortium.OrganisationUnknown.selector, 8));
        refuse(node(9), 0, true, abi.encodeWithSelector(IConsortium.OrganisationUnknown.selector, 0));
        refuse(node(0), COURT_ID, true, abi.encodeWithSelector(IConsortium.PeerListed.selector, node(0), COURT_ID));
        refuse(node(0), JUSTICE_ID, true, abi.encodeWithSelector(IConsortium.PeerListed.selector, node(0), COURT_ID));
        refuse(node(0), JUSTICE_ID, false, abi.encodeWithSelector(IConsortium.PeerUnknown.selector, node(0), JUSTICE_ID));
        refuse(node(9), COURT_ID, false, abi.encodeWithSelector(IConsortium.PeerUnknown.selector, node(9), COURT_ID));
        refuse(node(9), 0, false, abi.encodeWithSelector(IConsortium.PeerUnknown.selector, node(9), 0));
    }

    function testANodeThatLeftCanComeBackForAnotherOrganisation() public {
        set(node(0), COURT_ID, false);
        vm.assertEq(consortium.peer(node(0)), 0);
        set(node(0), POLICE_ID, true);
        vm.assertEq(consortium.peer(node(0)), POLICE_ID);
    }

    function testAnOrganisationHasSixteenNodesAtMost() public {
        for (uint256 i = 0; i < 16; ++i) {
            set(node(100 + i), JUSTICE_ID, true);
        }
        refuse(node(9), JUSTICE_ID, true, abi.encodeWithSelector(IConsortium.TooManyPeers.selector, JUSTICE_ID, 16));
        set(node(100), JUSTICE_ID, false);
        set(node(9), JUSTICE_ID, true);
    }

    function testAHundredAndTwentyEightNodesInAll() public {
        for (uint16 id = 8; id <= 9; ++id) {
            vm.prank(CONSORTIUM);
            consortium.addOrganisation(id, 1, keccak256("key"), 0);
        }
        for (uint256 i = 4; i < 128; ++i) {
            set(node(i), uint16(i % 9 + 1), true);
        }
        (uint256 total,,) = consortium.peers(0, 0);
        vm.assertEq(total, 128);
        refuse(node(200), 9, true, abi.encodeWithSelector(IConsortium.TooManyPeers.selector, 0, 128));
    }

    function testTheNodesOfASuspendedOrganisationAreRefusedUntilItIsResumed() public {
        set(node(9), COURT_ID, true);
        vm.prank(CONSORTIUM);
        consortium.suspendOrganisation(COURT_ID);
        vm.assertEq(consortium.peer(node(0)), 0);
        vm.assertEq(consortium.peer(node(9)), 0);
        vm.assertEq(consortium.peer(node(1)), COMMUNITY_ID);
        refuse(node(10), COURT_ID, true, abi.encodeWithSelector(IConsortium.OrganisationNotActive.selector, COURT_ID));
        refuse(node(9), POLICE_ID, true, abi.encodeWithSelector(IConsortium.PeerListed.selector, node(9), COURT_ID));
        set(node(9), COURT_ID, false);
        vm.prank(CONSORTIUM);
        consortium.resumeOrganisation(COURT_ID);
        vm.assertEq(consortium.peer(node(0)), COURT_ID);
        vm.assertEq(consortium.peer(node(9)), 0);
    }

    /// @dev Every page of any size shows its part of the same list, and nothing lies beyond the end.
    function testFuzzPagesMakeTheList(uint256 start, uint256 count) public view {
        (uint256 total, bytes20[] memory all, uint16[] memory owners) = consortium.peers(0, 128);
        vm.assertEq(total, 4);
        vm.assertEq(all.length, 4);
        (, bytes20[] memory page, uint16[] memory pageOwners) = consortium.peers(start, count);
        uint256 left = start < 4 ? 4 - start : 0;
        vm.assertEq(page.length, count < left ? count : left);
        for (uint256 i = 0; i < page.length; ++i) {
            vm.assertEq(bytes32(page[i]), bytes32(all[start + i]));
            vm.assertEq(pageOwners[i], owners[start + i]);
        }
    }

    /// @dev Where the node looks: one slot, the id padded at its end.
    function testFuzzOneSlotAnswers(bytes20 nodeId, uint8 organisation) public {
        vm.assume(nodeId != 0 && consortium.peer(nodeId) == 0);
        uint16 own = organisation % ORGANISATIONS + 1;
        set(nodeId, own, true);
        bytes32 base = bytes32(uint256(0x85660c41603fd904947602182d100c98c78b75e13d4a05016211a644d6484800) + 9);
        bytes32 slot = keccak256(abi.encodePacked(nodeId, bytes12(0), base));
        vm.assertEq(uint256(vm.load(CONSORTIUM, slot)), own);
        set(nodeId, own, false);
        vm.assertEq(uint256(vm.load(CONSORTIUM, slot)), 0);
    }
}
