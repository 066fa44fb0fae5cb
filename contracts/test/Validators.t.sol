// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CONSORTIUM} from "../src/access/Constants.sol";
import {IAccess} from "../src/access/IAccess.sol";
import {IConsortium} from "../src/consortium/IConsortium.sol";
import {DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

contract ValidatorsTest is DistrictTest {
    bytes32 internal constant NEW = keccak256("new");

    function change(bytes32 key, uint64 power, uint16 owner) internal {
        (bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners) = one(key, power, owner);
        vm.prank(CONSORTIUM);
        consortium.changeValidators(keys, powers, owners);
    }

    function refuse(bytes32 key, uint64 power, uint16 owner, bytes memory reason) internal {
        (bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners) = one(key, power, owner);
        vm.prank(CONSORTIUM);
        vm.expectRevert(reason);
        consortium.changeValidators(keys, powers, owners);
    }

    function one(bytes32 key, uint64 power, uint16 owner)
        internal
        pure
        returns (bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners)
    {
        (keys, powers, owners) = (new bytes32[](1), new uint64[](1), new uint16[](1));
        (keys[0], powers[0], owners[0]) = (key, power, owner);
    }

    function rotate(bytes32 oldKey, bytes32 newKey) internal {
        vm.prank(CONSORTIUM);
        consortium.rotateValidatorKey(oldKey, newKey);
    }

    function refuseRotation(bytes32 oldKey, bytes32 newKey, bytes memory reason) internal {
        vm.prank(CONSORTIUM);
        vm.expectRevert(reason);
        consortium.rotateValidatorKey(oldKey, newKey);
    }

    function suspend(uint16 organisation) internal {
        vm.prank(CONSORTIUM);
        consortium.suspendOrganisation(organisation);
    }

    function testAValidatorIsRemovedButNotTwoOfFour() public {
        bytes32[] memory keys = new bytes32[](2);
        uint16[] memory owners = new uint16[](2);
        (keys[0], keys[1], owners[0], owners[1]) = (validatorKey(0), validatorKey(1), COURT_ID, COMMUNITY_ID);
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.ValidatorChangeTooLarge.selector, 20, 40));
        consortium.changeValidators(keys, new uint64[](2), owners);
        change(validatorKey(0), 0, COURT_ID);
        (uint256 version, bytes32[] memory left,,) = consortium.validators();
        vm.assertEq(left.length, 3);
        vm.assertEq(version, 2);
        vm.roll(3);
        refuse(validatorKey(0), 0, COURT_ID, abi.encodeWithSelector(IConsortium.ValidatorUnknown.selector, validatorKey(0)));
    }

    function testOneKeyOnceInAChange() public {
        bytes32[] memory keys = new bytes32[](2);
        uint64[] memory powers = new uint64[](2);
        uint16[] memory owners = new uint16[](2);
        (keys[0], keys[1], owners[0], owners[1]) = (NEW, NEW, COURT_ID, COURT_ID);
        (powers[0], powers[1]) = (1, 2);
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.ValidatorUnchanged.selector, NEW));
        consortium.changeValidators(keys, powers, owners);
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.LengthMismatch.selector, 1, 2));
        consortium.changeValidators(keys, powers, new uint16[](1));
    }

    function testAValidatorBelongsToAnActiveMember() public {
        refuse(NEW, 5, 8, abi.encodeWithSelector(IConsortium.OrganisationUnknown.selector, 8));
        suspend(POLICE_ID);
        refuse(NEW, 5, POLICE_ID, abi.encodeWithSelector(IConsortium.OrganisationNotActive.selector, POLICE_ID));
        bytes memory reason =
            abi.encodeWithSelector(IConsortium.ValidatorOrganisation.selector, validatorKey(0), JUSTICE_ID, COURT_ID);
        refuse(validatorKey(0), 12, JUSTICE_ID, reason);
        refuse(validatorKey(0), 0, JUSTICE_ID, reason);
        change(NEW, 5, JUSTICE_ID);
        (, bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners) = consortium.validators();
        vm.assertEq(keys[4], NEW);
        vm.assertEq(powers[4], 5);
        vm.assertEq(owners[4], JUSTICE_ID);
        vm.assertEq(owners[0], COURT_ID);
    }

    function testTheNextChangeWaitsUntilThisOneIsInForce() public {
        change(NEW, 5, JUSTICE_ID);
        bytes memory reason = abi.encodeWithSelector(IConsortium.ValidatorChangePending.selector, 1, 3);
        refuse(NEW, 6, JUSTICE_ID, reason);
        refuseRotation(validatorKey(0), keccak256("other"), reason);
        vm.roll(2);
        refuse(NEW, 6, JUSTICE_ID, abi.encodeWithSelector(IConsortium.ValidatorChangePending.selector, 2, 3));
        vm.roll(3);
        rotate(validatorKey(0), keccak256("other"));
        vm.roll(4);
        refuse(NEW, 6, JUSTICE_ID, abi.encodeWithSelector(IConsortium.ValidatorChangePending.selector, 4, 5));
    }

    function testARotationKeepsPowerAndOrganisation() public {
        rotate(validatorKey(1), NEW);
        (uint256 version, bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners) = consortium.validators();
        vm.assertEq(version, 2);
        vm.assertEq(keys.length, 4);
        vm.assertEq(keys[1], NEW);
        vm.assertEq(powers[1], 10);
        vm.assertEq(owners[1], COMMUNITY_ID);
        vm.roll(3);
        change(validatorKey(1), 5, JUSTICE_ID);
    }

    function testARotationOfNothingOrToAKnownKeyIsRefused() public {
        refuseRotation(NEW, validatorKey(0), abi.encodeWithSelector(IConsortium.ValidatorUnknown.selector, NEW));
        refuseRotation(validatorKey(0), 0, abi.encodeWithSelector(IConsortium.ValidatorInvalid.selector, 0, 10));
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory reason = abi.encodeWithSelector(IConsortium.ValidatorUnchanged.selector, validatorKey(i));
            refuseRotation(validatorKey(0), validatorKey(i), reason);
        }
        suspend(COURT_ID);
        refuseRotation(validatorKey(0), NEW, abi.encodeWithSelector(IConsortium.OrganisationNotActive.selector, COURT_ID));
    }

    function testNobodyChangesValidatorsDirectly() public {
        (bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners) = one(NEW, 5, COURT_ID);
        as_("everything", COURT_ID);
        vm.expectPartialRevert(IAccess.WrongCaller.selector);
        consortium.changeValidators(keys, powers, owners);
        as_("everything", COURT_ID);
        vm.expectPartialRevert(IAccess.WrongCaller.selector);
        consortium.rotateValidatorKey(validatorKey(0), NEW);
    }

    /// @dev Three machines of equal power stand no silent one, so a key that was never seen to sign may not take a third.
    function testAThirdOfThePowerIsNotRotated() public {
        change(validatorKey(0), 0, COURT_ID);
        vm.roll(3);
        refuseRotation(validatorKey(1), NEW, abi.encodeWithSelector(IConsortium.QuorumAtRisk.selector, 10, 30));
    }

    function testSuspensionCountsTheValidatorsItSilences() public {
        suspend(COURT_ID);
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IConsortium.QuorumAtRisk.selector, 20, 40));
        consortium.suspendOrganisation(AUDITOR_ID);
        // With one of four silent already, no other key may be rotated and no other validator removed.
        refuseRotation(validatorKey(1), NEW, abi.encodeWithSelector(IConsortium.QuorumAtRisk.selector, 20, 40));
        refuse(validatorKey(1), 0, COMMUNITY_ID, abi.encodeWithSelector(IConsortium.QuorumAtRisk.selector, 10, 30));
        refuse(validatorKey(0), 11, COURT_ID, abi.encodeWithSelector(IConsortium.OrganisationNotActive.selector, COURT_ID));
        change(validatorKey(0), 0, COURT_ID);
        vm.roll(3);
        change(NEW, 9, JUSTICE_ID);
    }

    /// @dev What is said of a change, computed here: how much of the old power it moves, and what could be silent after it.
    function testFuzzQuorumIsNeverLost(uint8[4] memory newPowers, uint8 added) public {
        bytes32[] memory keys = new bytes32[](5);
        uint64[] memory powers = new uint64[](5);
        uint16[] memory owners = new uint16[](5);
        uint256 changed;
        for (uint256 i = 0; i < 4; ++i) {
            (keys[i], powers[i], owners[i]) = (validatorKey(i), newPowers[i], validating(i));
            changed += newPowers[i] > 10 ? newPowers[i] - 10 : 10 - newPowers[i];
            vm.assume(newPowers[i] != 10);
        }
        vm.assume(added != 0);
        (keys[4], powers[4], owners[4]) = (keccak256("added"), added, JUSTICE_ID);
        changed += added;
        vm.prank(CONSORTIUM);
        (bool success,) = CONSORTIUM.call(abi.encodeCall(consortium.changeValidators, (keys, powers, owners)));
        vm.assertTrue(success == (changed * 3 <= 40), "allowed wrongly or refused wrongly");
        (, bytes32[] memory left,,) = consortium.validators();
        vm.assertTrue(left.length > 0);
    }

    /// @dev A rotation goes through exactly where the others decide blocks without it.
    function testFuzzARotationNeedsTheOthersToDecide(uint8 power) public {
        uint64 later = 1 + power % 23;
        vm.assume(later != 10);
        change(validatorKey(0), later, COURT_ID);
        vm.roll(3);
        vm.prank(CONSORTIUM);
        (bool success,) = CONSORTIUM.call(abi.encodeCall(consortium.rotateValidatorKey, (validatorKey(0), NEW)));
        vm.assertTrue(success == (uint256(30) * 3 > (30 + later) * 2), "allowed wrongly or refused wrongly");
    }
}
