// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    APPROVER, CONSORTIUM, HANDLER, REGISTRAR, RESIDENT, SERVICE, SERVICES, SHARING, STAFF, SUPERVISOR
} from "../src/access/Constants.sol";
import {IAccess} from "../src/access/IAccess.sol";
import {ICountersigned} from "../src/access/ICountersigned.sol";
import {IIdentityRegistry} from "../src/identity/IIdentityRegistry.sol";
import {DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

contract IdentityRegistryTest is DistrictTest {
    bytes16 internal constant NEW = bytes16(keccak256("new identity"));

    function newKey() internal pure returns (bytes memory) {
        return abi.encode(keccak256("new x"), keccak256("new y"));
    }

    function enrolStaff(string memory registrar, uint32 roles) internal {
        as_(registrar, COURT_ID);
        registry.enrol(NEW, STAFF, 4, roles, WEBAUTHN, newKey(), STAFF_PARTY, 0);
    }

    function testStaffTakeTwoRegistrars() public {
        enrolStaff("registrar a", HANDLER);
        vm.assertEq(registry.identityOf(NEW), 0);
        as_("registrar a", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(ICountersigned.SecondPersonRequired.selector, identity("registrar a", COURT_ID)));
        registry.enrol(NEW, STAFF, 4, HANDLER, WEBAUTHN, newKey(), STAFF_PARTY, 0);
        enrolStaff("registrar b", HANDLER);
        address account_ = registry.accountOf(WEBAUTHN, newKey());
        uint256 word = registry.standing(account_);
        vm.assertEq(uint128(word), uint128(NEW));
        vm.assertEq(uint16(word >> 128), COURT_ID);
        vm.assertEq(uint32(word >> 144), HANDLER);
    }

    function testTheSecondRegistrarMustAgreeOnEverything() public {
        enrolStaff("registrar a", HANDLER);
        enrolStaff("registrar b", HANDLER | APPROVER);
        vm.assertEq(registry.identityOf(NEW), 0);
    }

    function testARequestAgesOut() public {
        enrolStaff("registrar a", HANDLER);
        vm.warp(NOW + 7 days + 1);
        enrolStaff("registrar b", HANDLER);
        vm.assertEq(registry.identityOf(NEW), 0);
    }

    function testARequestIsWithdrawnByItsMakerOnly() public {
        bytes memory call = abi.encodeCall(registry.enrol, (NEW, STAFF, 4, HANDLER, WEBAUTHN, newKey(), STAFF_PARTY, 0));
        enrolStaff("registrar a", HANDLER);
        as_("registrar b", COURT_ID);
        vm.expectPartialRevert(ICountersigned.RequestUnknown.selector);
        registry.withdrawRequest(keccak256(call));
        as_("registrar a", COURT_ID);
        registry.withdrawRequest(keccak256(call));
        enrolStaff("registrar b", HANDLER);
        vm.assertEq(registry.identityOf(NEW), 0);
    }

    function testRegistrarsOfTwoOrganisationsAreNotAPair() public {
        enrolStaff("registrar a", HANDLER);
        as_("registrar a", POLICE_ID);
        registry.enrol(NEW, STAFF, 4, HANDLER, WEBAUTHN, newKey(), STAFF_PARTY, 0);
        vm.assertEq(registry.identityOf(NEW), 0);
    }

    function testResidentsAreEnrolledByTheDataBureau() public {
        as_("registrar a", COURT_ID);
        vm.expectPartialRevert(IAccess.WrongOrganisationKind.selector);
        registry.enrol(NEW, SHARING, 1, RESIDENT, WEBAUTHN, newKey(), SHARING_PARTY, 0);
        as_("registrar a", BUREAU_ID);
        registry.enrol(NEW, SHARING, 2, RESIDENT, WEBAUTHN, newKey(), SHARING_PARTY, 0);
        vm.assertTrue(registry.identityOf(NEW) != 0);
    }

    function testLevelThreeTakesTwo() public {
        as_("registrar a", BUREAU_ID);
        registry.setLevel(resident(0), 3);
        vm.assertEq(uint8(registry.identityOf(resident(0)) >> 184), 2);
        as_("registrar b", BUREAU_ID);
        registry.setLevel(resident(0), 3);
        vm.assertEq(uint8(registry.identityOf(resident(0)) >> 184), 3);
    }

    function testAKeyOfOneDomainIsRefusedInAnother() public {
        bytes memory publicKey = key(residentName(0), BUREAU_ID);
        as_("registrar a", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IIdentityRegistry.KeyOfAnotherDomain.selector, keccak256(publicKey), STAFF, SHARING));
        registry.enrol(NEW, STAFF, 4, HANDLER, WEBAUTHN, publicKey, STAFF_PARTY, 0);
        // not even under another scheme, where it has another address
        as_("registrar a", COURT_ID);
        vm.expectPartialRevert(IIdentityRegistry.KeyOfAnotherDomain.selector);
        registry.enrol(NEW, STAFF, 4, HANDLER, 3, publicKey, STAFF_PARTY, 0);
    }

    function testARelyingPartyOfAnotherDomainIsRefused() public {
        as_("registrar a", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IIdentityRegistry.RelyingPartyDomain.selector, SHARING_PARTY, SHARING, STAFF));
        registry.enrol(NEW, STAFF, 4, HANDLER, WEBAUTHN, newKey(), SHARING_PARTY, 0);
    }

    function testRolesOfTheKindOnly() public {
        as_("registrar a", COURT_ID);
        vm.expectPartialRevert(IIdentityRegistry.RolesNotAllowed.selector);
        registry.enrol(NEW, STAFF, 4, SUPERVISOR, WEBAUTHN, newKey(), STAFF_PARTY, 0);
        as_("registrar a", COURT_ID);
        vm.expectPartialRevert(IIdentityRegistry.RolesNotAllowed.selector);
        registry.enrol(NEW, SERVICES, 0, HANDLER, WEBAUTHN, newKey(), SERVICE_PARTY, 0);
    }

    function testANewDeviceAndALostOne() public {
        bytes16 who = identity("handler", COURT_ID);
        as_("registrar a", COURT_ID);
        registry.addCredential(who, WEBAUTHN, newKey(), STAFF_PARTY, 0);
        as_("registrar b", COURT_ID);
        registry.addCredential(who, WEBAUTHN, newKey(), STAFF_PARTY, 0);
        vm.assertEq(registry.credentialsOf(who).length, 2);
        address old = account("handler", COURT_ID);
        as_("registrar a", POLICE_ID);
        vm.expectPartialRevert(IAccess.WrongOrganisation.selector);
        registry.revokeCredential(old);
        as_("registrar a", COURT_ID);
        registry.revokeCredential(old);
        vm.assertEq(registry.standing(old), 0);
        vm.assertTrue(registry.standing(registry.accountOf(WEBAUTHN, newKey())) != 0);
    }

    function testSuspendedAndResumed() public {
        bytes16 who = identity("handler", COURT_ID);
        address account_ = account("handler", COURT_ID);
        as_("registrar a", COURT_ID);
        registry.suspend(who);
        (,,, uint8 status,,,,) = registry.credential(account_);
        vm.assertEq(status, 2);
        vm.assertEq(registry.standing(account_), 0);
        as_("registrar a", COURT_ID);
        registry.resume(who);
        vm.assertEq(registry.standing(account_), 0);
        as_("registrar b", COURT_ID);
        registry.resume(who);
        vm.assertTrue(registry.standing(account_) != 0);
    }

    function testRevokedForEver() public {
        bytes16 who = identity("handler", COURT_ID);
        as_("registrar a", COURT_ID);
        registry.revoke(who);
        as_("registrar b", COURT_ID);
        registry.revoke(who);
        as_("registrar a", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IIdentityRegistry.IdentityStatus.selector, who, 3, 2));
        registry.resume(who);
        vm.assertEq(registry.standing(account("handler", COURT_ID)), 0);
    }

    function testTwoRegistrarsRemain() public {
        as_("registrar a", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IIdentityRegistry.TooFewRegistrars.selector, COURT_ID, 1, 2));
        registry.suspend(identity("registrar b", COURT_ID));
        as_("registrar a", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IIdentityRegistry.TooFewRegistrars.selector, COURT_ID, 1, 2));
        registry.revokeCredential(account("registrar b", COURT_ID));
        enrolStaff("registrar a", REGISTRAR);
        enrolStaff("registrar b", REGISTRAR);
        vm.assertEq(registry.registrarCount(COURT_ID), 3);
        as_("registrar a", COURT_ID);
        registry.suspend(identity("registrar b", COURT_ID));
        vm.assertEq(registry.registrarCount(COURT_ID), 2);
    }

    /// @dev The way back for an organisation whose registrars are gone, or whose keys are in the wrong hands: it is suspended, so
    /// nobody of it acts; two new registrars come, the old ones go; it is resumed.
    function testAVoteReplacesBothRegistrars() public {
        vm.prank(CONSORTIUM);
        consortium.suspendOrganisation(COURT_ID);
        bytes16[2] memory old = [identity("registrar a", COURT_ID), identity("registrar b", COURT_ID)];
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IIdentityRegistry.TooFewRegistrars.selector, COURT_ID, 1, 2));
        registry.removeRegistrar(old[0]);
        string[2] memory names = ["registrar c", "registrar d"];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(CONSORTIUM);
            registry.installRegistrar(COURT_ID, identity(names[i], COURT_ID), WEBAUTHN, key(names[i], COURT_ID), STAFF_PARTY);
        }
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(CONSORTIUM);
            registry.removeRegistrar(old[i]);
        }
        vm.assertEq(registry.registrarCount(COURT_ID), 2);
        vm.prank(CONSORTIUM);
        consortium.resumeOrganisation(COURT_ID);
        vm.assertEq(registry.standing(account("registrar a", COURT_ID)), 0);
        vm.assertEq(registry.standing(account("registrar b", COURT_ID)), 0);
        enrolStaff("registrar c", HANDLER);
        enrolStaff("registrar d", HANDLER);
        vm.assertTrue(registry.identityOf(NEW) != 0);
    }

    function testAVoteRemovesRegistrarsOnly() public {
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IAccess.RoleMissing.selector, HANDLER, REGISTRAR));
        registry.removeRegistrar(identity("handler", COURT_ID));
        vm.prank(CONSORTIUM);
        vm.expectRevert(abi.encodeWithSelector(IAccess.RoleMissing.selector, 0, REGISTRAR));
        registry.removeRegistrar(NEW);
        as_("registrar a", COURT_ID);
        vm.expectPartialRevert(IAccess.WrongCaller.selector);
        registry.removeRegistrar(identity("registrar b", COURT_ID));
    }

    function testCredentialsEnd() public {
        as_("registrar a", BUREAU_ID);
        registry.enrol(NEW, SHARING, 1, RESIDENT, WEBAUTHN, newKey(), SHARING_PARTY, uint48(NOW + 1 days));
        address account_ = registry.accountOf(WEBAUTHN, newKey());
        vm.assertTrue(registry.standing(account_) != 0);
        vm.warp(NOW + 1 days);
        vm.assertEq(registry.standing(account_), 0);
    }

    function testADeputyHasTheLentRolesOnlyAndInTime() public {
        bytes16 principal = identity("everything", COURT_ID);
        bytes16 deputy = identity("handler", COURT_ID);
        address account_ = account("handler", COURT_ID);
        vm.expectRevert(abi.encodeWithSelector(IAccess.NotDeputy.selector, deputy, principal));
        registry.standingFor(account_, principal);
        as_("registrar a", COURT_ID);
        registry.setDeputy(principal, deputy, APPROVER, uint48(NOW + 1 days));
        as_("registrar b", COURT_ID);
        registry.setDeputy(principal, deputy, APPROVER, uint48(NOW + 1 days));
        uint256 word = registry.standingFor(account_, principal);
        vm.assertEq(uint128(word), uint128(deputy));
        vm.assertEq(uint32(word >> 144), APPROVER);
        vm.warp(NOW + 1 days);
        vm.expectRevert(abi.encodeWithSelector(IAccess.NotDeputy.selector, deputy, principal));
        registry.standingFor(account_, principal);
    }

    function testTheRegistrarRoleIsNotLent() public {
        as_("registrar a", COURT_ID);
        vm.expectPartialRevert(IIdentityRegistry.RolesNotAllowed.selector);
        registry.setDeputy(
            identity("registrar a", COURT_ID), identity("handler", COURT_ID), REGISTRAR, uint48(NOW + 1 days)
        );
    }

    function testFuzzPublicKeyLengths(uint8 scheme, bytes memory publicKey) public {
        scheme = scheme % 8;
        uint256 expected = scheme == 2 ? 32 : scheme == 5 ? 1952 : 64;
        vm.assume(publicKey.length != expected || scheme > 5);
        as_("registrar a", BUREAU_ID);
        (bool success,) = address(registry).call(
            abi.encodeCall(registry.enrol, (NEW, SHARING, 1, RESIDENT, scheme, publicKey, SHARING_PARTY, 0))
        );
        vm.assertFalse(success);
    }

    /// @dev Without the role of registrar nobody changes anything.
    function testFuzzOnlyRegistrars(uint8 who, uint8 what) public {
        string[4] memory names = ["handler", "approver", "sealer", "everything"];
        bytes16 target = identity("handler", COURT_ID);
        bytes[6] memory calls = [
            abi.encodeCall(registry.setRoles, (target, HANDLER)),
            abi.encodeCall(registry.suspend, (target)),
            abi.encodeCall(registry.revoke, (target)),
            abi.encodeCall(registry.revokeCredential, (account("handler", COURT_ID))),
            abi.encodeCall(registry.addCredential, (target, WEBAUTHN, newKey(), STAFF_PARTY, 0)),
            abi.encodeCall(registry.setDeputy, (target, identity("sealer", COURT_ID), HANDLER, uint48(NOW + 1)))
        ];
        as_(names[who % 4], COURT_ID);
        (bool success, bytes memory answer) = address(registry).call(calls[what % 6]);
        vm.assertFalse(success);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(IAccess.RoleMissing.selector));
    }
}
