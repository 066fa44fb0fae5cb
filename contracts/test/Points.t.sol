// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LOVE_BANK, SHARING_ORDERS} from "../src/access/Constants.sol";
import {IAccess} from "../src/access/IAccess.sol";
import {ICountersigned} from "../src/access/ICountersigned.sol";
import {ILoveBank} from "../src/sharing/ILoveBank.sol";
import {ISharingOrders} from "../src/sharing/ISharingOrders.sol";
import {DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

contract PointsTest is DistrictTest {
    bytes32 internal constant ORDER = keccak256("order");
    bytes32 internal constant REF = keccak256("ref");

    function issue(uint256 number, uint64 amount) internal {
        as_("clerk a", COMMUNITY_ID);
        bank.issue(resident(number), amount, REF);
        as_("clerk b", COMMUNITY_ID);
        bank.issue(resident(number), amount, REF);
    }

    function balance(uint256 number) internal view returns (uint256) {
        return bank.balanceOf(bank.accountOf(resident(number)));
    }

    /// @dev Resident 0 needs, resident 1 serves: 8 quarter hours at weight 120 are 10 points.
    function confirmed() internal {
        issue(0, 100);
        asResident(0);
        orders.publish(ORDER, false, 21, 8, uint48(NOW), REF);
        asResident(1);
        orders.accept(ORDER);
        asResident(0);
        orders.confirm(ORDER);
    }

    function finished() internal {
        confirmed();
        asResident(0);
        orders.checkIn(ORDER, REF);
        asResident(1);
        orders.checkIn(ORDER, REF);
        asResident(1);
        orders.finish(ORDER);
    }

    function stateOf() internal view returns (uint8 state) {
        (state,,,,,,,,,) = orders.orderOf(ORDER);
    }

    function testWholeLife() public {
        finished();
        vm.assertEq(bank.balanceOf(SHARING_ORDERS), 10);
        asResident(0);
        orders.complete(ORDER);
        vm.assertEq(balance(0), 90);
        vm.assertEq(balance(1), 10);
        vm.assertEq(bank.balanceOf(SHARING_ORDERS), 0);
        asResident(0);
        orders.rate(ORDER, 5, REF);
        asResident(1);
        orders.rate(ORDER, 4, REF);
        asResident(1);
        vm.expectRevert(abi.encodeWithSelector(ISharingOrders.AlreadyRated.selector, ORDER, resident(1)));
        orders.rate(ORDER, 4, REF);
    }

    function testAnOfferIsServedByItsPublisher() public {
        issue(1, 50);
        asResident(0);
        orders.publish(ORDER, true, 21, 4, uint48(NOW), REF);
        asResident(1);
        orders.accept(ORDER);
        asResident(0);
        vm.expectRevert(abi.encodeWithSelector(ISharingOrders.NotParty.selector, ORDER, resident(0)));
        orders.confirm(ORDER);
        asResident(1);
        orders.confirm(ORDER);
        vm.assertEq(balance(1), 45);
    }

    function testNobodyServesThemself() public {
        asResident(0);
        orders.publish(ORDER, false, 21, 8, uint48(NOW), REF);
        asResident(0);
        vm.expectRevert(abi.encodeWithSelector(ISharingOrders.OwnOrder.selector, resident(0)));
        orders.accept(ORDER);
    }

    function testIssuingTakesTwoClerks() public {
        as_("clerk a", COMMUNITY_ID);
        bank.issue(resident(0), 10, REF);
        as_("clerk a", COMMUNITY_ID);
        vm.expectRevert(abi.encodeWithSelector(ICountersigned.SecondPersonRequired.selector, identity("clerk a", COMMUNITY_ID)));
        bank.issue(resident(0), 10, REF);
        vm.assertEq(bank.totalSupply(), 0);
        as_("clerk b", COMMUNITY_ID);
        vm.expectRevert(abi.encodeWithSelector(ILoveBank.AmountInvalid.selector, 1_001, 1_000));
        bank.issue(resident(0), 1_001, REF);
    }

    function testNoFreeTransfer() public {
        issue(0, 10);
        asResident(0);
        vm.expectRevert(ILoveBank.NoFreeTransfer.selector);
        bank.transfer(address(1), 1);
        asResident(0);
        vm.expectRevert(ILoveBank.NoFreeTransfer.selector);
        bank.approve(address(1), 1);
        asResident(0);
        vm.expectRevert(ILoveBank.NoFreeTransfer.selector);
        bank.transferFrom(address(1), address(2), 1);
        asResident(0);
        vm.expectPartialRevert(IAccess.WrongCaller.selector);
        bank.hold(ORDER, resident(0), 1);
    }

    function testConfirmingTakesTheBalance() public {
        asResident(0);
        orders.publish(ORDER, false, 21, 8, uint48(NOW), REF);
        asResident(1);
        orders.accept(ORDER);
        address poor = bank.accountOf(resident(0));
        asResident(0);
        vm.expectRevert(abi.encodeWithSelector(ILoveBank.InsufficientBalance.selector, poor, 0, 10));
        orders.confirm(ORDER);
    }

    function testCancelRefundsByStage() public {
        confirmed();
        asResident(1);
        orders.checkIn(ORDER, REF);
        asResident(0);
        orders.cancel(ORDER);
        vm.assertEq(balance(0), 98);
        vm.assertEq(balance(1), 2);
        vm.assertEq(stateOf(), 8);
    }

    function testCancelByTheProviderRefundsAll() public {
        confirmed();
        asResident(1);
        orders.checkIn(ORDER, REF);
        asResident(1);
        orders.cancel(ORDER);
        vm.assertEq(balance(0), 100);
    }

    function testNoShow() public {
        confirmed();
        asResident(1);
        orders.checkIn(ORDER, REF);
        asResident(1);
        vm.expectPartialRevert(ISharingOrders.TooEarly.selector);
        orders.noShow(ORDER);
        vm.warp(NOW + 31 minutes);
        asResident(0);
        vm.expectRevert(abi.encodeWithSelector(ISharingOrders.NotCheckedIn.selector, ORDER, resident(0)));
        orders.noShow(ORDER);
        asResident(1);
        orders.noShow(ORDER);
        vm.assertEq(balance(1), 5);
        vm.assertEq(balance(0), 95);
    }

    function testDisputeIsArbitratedByAClerk() public {
        finished();
        asResident(0);
        orders.dispute(ORDER, REF);
        asResident(0);
        vm.expectPartialRevert(IAccess.WrongDomain.selector);
        orders.arbitrate(ORDER, 30, REF);
        as_("clerk a", COMMUNITY_ID);
        orders.arbitrate(ORDER, 30, REF);
        vm.assertEq(balance(1), 3);
        vm.assertEq(balance(0), 97);
    }

    function testAutomaticCompletionAfterThreeDays() public {
        finished();
        vm.warp(NOW + 72 hours - 1);
        as_("service", COMMUNITY_ID);
        vm.expectPartialRevert(ISharingOrders.TooEarly.selector);
        orders.poke(ORDER);
        vm.warp(NOW + 72 hours);
        asResident(2);
        vm.expectPartialRevert(ISharingOrders.NotParty.selector);
        orders.poke(ORDER);
        as_("service", COMMUNITY_ID);
        orders.poke(ORDER);
        vm.assertEq(balance(1), 10);
    }

    function testFrozenPointsDoNotMove() public {
        issue(0, 100);
        as_("clerk a", COMMUNITY_ID);
        bank.freeze(resident(0), REF);
        asResident(0);
        vm.expectRevert(abi.encodeWithSelector(ILoveBank.AccountIsFrozen.selector, resident(0)));
        bank.donate(1, REF);
        as_("clerk a", COMMUNITY_ID);
        bank.unfreeze(resident(0), REF);
        vm.assertTrue(bank.frozen(resident(0)));
        as_("clerk b", COMMUNITY_ID);
        bank.unfreeze(resident(0), REF);
        asResident(0);
        bank.donate(1, REF);
        vm.assertEq(bank.balanceOf(LOVE_BANK), 1);
    }

    function testGrantTakesTwoApprovers() public {
        issue(0, 100);
        asResident(0);
        bank.donate(60, REF);
        as_("approver", COMMUNITY_ID);
        bank.grant(resident(1), 40, REF);
        as_("everything", COMMUNITY_ID);
        bank.grant(resident(1), 40, REF);
        vm.assertEq(balance(1), 40);
        vm.assertEq(bank.balanceOf(LOVE_BANK), 20);
    }

    function testReversalOnceAndOnlyOfARealEntry() public {
        finished();
        asResident(0);
        orders.complete(ORDER);
        (address from, address to) = (bank.accountOf(resident(0)), bank.accountOf(resident(1)));
        as_("clerk a", COMMUNITY_ID);
        vm.expectPartialRevert(ILoveBank.NotReversible.selector);
        bank.reverseEntry(ORDER, from, to, 9, 4);
        as_("clerk a", COMMUNITY_ID);
        bank.reverseEntry(ORDER, from, to, 10, 4);
        as_("clerk b", COMMUNITY_ID);
        bank.reverseEntry(ORDER, from, to, 10, 4);
        vm.assertEq(balance(0), 100);
        vm.assertEq(balance(1), 0);
        as_("clerk a", COMMUNITY_ID);
        vm.expectPartialRevert(ILoveBank.NotReversible.selector);
        bank.reverseEntry(ORDER, from, to, 10, 4);
    }

    function testReadsLikeAToken() public {
        issue(0, 10);
        vm.assertEq(bank.decimals(), 0);
        vm.assertEq(bank.totalSupply(), 10);
        vm.assertEq(bank.allowance(address(1), address(2)), 0);
        vm.assertEq(bytes(bank.symbol()).length, 4);
        asResident(0);
        bank.redeem(4, REF);
        vm.assertEq(bank.totalSupply(), 6);
        vm.assertEq(bank.burned(), 4);
    }

    /// @dev An arbitration pays out exactly what was held.
    function testFuzzArbitrationIsExact(uint16 units, uint8 percent) public {
        units = units % 160 + 1;
        percent = percent % 101;
        issue(0, 1_000);
        asResident(0);
        orders.publish(ORDER, false, 21, units, uint48(NOW), REF);
        asResident(1);
        orders.accept(ORDER);
        asResident(0);
        orders.confirm(ORDER);
        uint256 held = bank.balanceOf(SHARING_ORDERS);
        vm.assertEq(held, (uint256(units) * 120 + 50) / 100);
        asResident(1);
        orders.dispute(ORDER, REF);
        as_("clerk b", COMMUNITY_ID);
        orders.arbitrate(ORDER, percent, REF);
        vm.assertEq(balance(1), held * percent / 100);
        vm.assertEq(balance(0) + balance(1), 1_000);
        vm.assertEq(bank.balanceOf(SHARING_ORDERS), 0);
    }
}
