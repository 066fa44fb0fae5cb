// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LOVE_BANK, SHARING_ORDERS} from "../src/access/Constants.sol";
import {District, DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

/// @title Random residents, clerks and approvers; every call may fail, none may break the books
contract PointsActor is District {
    uint256 internal constant RESIDENTS = 4;
    bytes32[] internal _ids;
    uint256 internal _number;
    bytes32 internal _last = keccak256(abi.encode([uint256(0), 0, 0, 0, 0, 0]));
    /// @notice A balance moved in a call that moves no points, or a free transfer went through.
    bool public movedOutside;
    uint256 public succeeded;

    function publish(uint8 who, bool offer, uint16 units) external {
        bytes32 id = keccak256(abi.encode("order", ++_number));
        asResident(who % RESIDENTS);
        if (_try(SHARING_ORDERS, abi.encodeCall(orders.publish, (id, offer, 21, units % 300, uint48(block.timestamp), id)), true)) {
            _ids.push(id);
        }
    }

    function step(uint8 who, uint8 what, uint8 which, uint8 number) external {
        if (_ids.length == 0) return;
        bytes32 id = _ids[which % _ids.length];
        bytes[10] memory calls = [
            abi.encodeCall(orders.accept, (id)),
            abi.encodeCall(orders.confirm, (id)),
            abi.encodeCall(orders.checkIn, (id, id)),
            abi.encodeCall(orders.finish, (id)),
            abi.encodeCall(orders.complete, (id)),
            abi.encodeCall(orders.rate, (id, number % 7, id)),
            abi.encodeCall(orders.cancel, (id)),
            abi.encodeCall(orders.noShow, (id)),
            abi.encodeCall(orders.dispute, (id, id)),
            abi.encodeCall(orders.poke, (id))
        ];
        uint256 index = what % 10;
        bool still = index == 0 || index == 2 || index == 3 || index == 5 || index == 8;
        asResident(who % RESIDENTS);
        _try(SHARING_ORDERS, calls[index], still);
    }

    /// @dev The next step of an order by the right person, so that long lives are reached.
    function forward(uint8 which) external {
        if (_ids.length == 0) return;
        bytes32 id = _ids[which % _ids.length];
        (uint8 state,,,,,, bytes16 requester, bytes16 provider, bool requesterIn, bool providerIn) = orders.orderOf(id);
        if (state == 1) {
            _as(_stranger(requester == 0 ? provider : requester));
            _try(SHARING_ORDERS, abi.encodeCall(orders.accept, (id)), true);
        } else if (state == 2) {
            _as(requester);
            _try(SHARING_ORDERS, abi.encodeCall(orders.confirm, (id)), false);
        } else if (state == 3) {
            _as(requesterIn ? provider : requester);
            if (!requesterIn || !providerIn) _try(SHARING_ORDERS, abi.encodeCall(orders.checkIn, (id, id)), true);
        } else if (state == 4) {
            _as(provider);
            _try(SHARING_ORDERS, abi.encodeCall(orders.finish, (id)), true);
        } else if (state == 5) {
            _as(requester);
            _try(SHARING_ORDERS, abi.encodeCall(orders.complete, (id)), false);
        }
    }

    function arbitrate(uint8 which, uint8 percent) external {
        if (_ids.length == 0) return;
        as_("clerk a", COMMUNITY_ID);
        _try(SHARING_ORDERS, abi.encodeCall(orders.arbitrate, (_ids[which % _ids.length], percent % 120, 0)), false);
    }

    function issue(uint8 who, uint16 amount, bool second) external {
        bytes32 ref = keccak256(abi.encode("issue", who % RESIDENTS));
        as_(second ? "clerk b" : "clerk a", COMMUNITY_ID);
        _try(LOVE_BANK, abi.encodeCall(bank.issue, (resident(who % RESIDENTS), 50 + amount % 3 * 50, ref)), false);
    }

    function fund(uint8 who, uint8 what, uint8 amount, bool second) external {
        bytes16 target = resident(who % RESIDENTS);
        if (what % 5 == 0) {
            asResident(who % RESIDENTS);
            _try(LOVE_BANK, abi.encodeCall(bank.donate, (amount, 0)), false);
        } else if (what % 5 == 1) {
            as_(second ? "approver" : "everything", COMMUNITY_ID);
            _try(LOVE_BANK, abi.encodeCall(bank.grant, (target, 1 + amount % 4, 0)), false);
        } else if (what % 5 == 2) {
            asResident(who % RESIDENTS);
            _try(LOVE_BANK, abi.encodeCall(bank.redeem, (amount, 0)), false);
        } else if (what % 5 == 3) {
            as_(second ? "clerk a" : "clerk b", COMMUNITY_ID);
            _try(LOVE_BANK, abi.encodeCall(bank.burnFromFund, (1 + amount % 4, 0)), false);
        } else {
            as_(second ? "clerk a" : "clerk b", COMMUNITY_ID);
            bytes memory call = amount % 2 == 0
                ? abi.encodeCall(bank.freeze, (target, 0))
                : abi.encodeCall(bank.unfreeze, (target, 0));
            _try(LOVE_BANK, call, true);
        }
    }

    function reversal(uint8 who, bool second, uint8 which) external {
        bytes32 ref = keccak256(abi.encode("issue", who % RESIDENTS));
        bytes memory call =
            abi.encodeCall(bank.reverseEntry, (ref, address(0), bank.accountOf(resident(who % RESIDENTS)), 50, 1));
        if (which % 2 == 1 && _ids.length != 0) {
            bytes32 id = _ids[which % _ids.length];
            (,,, uint32 amount,,, bytes16 requester, bytes16 provider,,) = orders.orderOf(id);
            call = abi.encodeCall(bank.reverseEntry, (id, bank.accountOf(requester), bank.accountOf(provider), amount, 4));
        }
        as_(second ? "clerk a" : "clerk b", COMMUNITY_ID);
        _try(LOVE_BANK, call, false);
    }

    function transfer(uint8 who, uint8 other, uint8 amount) external {
        asResident(who % RESIDENTS);
        if (_try(LOVE_BANK, abi.encodeCall(bank.transfer, (_account(other), amount)), true)) movedOutside = true;
        asResident(who % RESIDENTS);
        if (_try(LOVE_BANK, abi.encodeCall(bank.hold, (0, resident(other % RESIDENTS), amount)), true)) movedOutside = true;
    }

    function pass(uint32 time) external {
        vm.warp(block.timestamp + time % 2 days);
    }

    /// @notice The points that the open orders hold.
    function held() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _ids.length; ++i) {
            (uint8 state,,, uint32 amount,,,,,,) = orders.orderOf(_ids[i]);
            if ((state >= 3 && state <= 5) || state == 10) sum += amount;
        }
    }

    /// @notice The sum of all balances that can exist.
    function balances() public view returns (uint256 sum) {
        for (uint256 i = 0; i < RESIDENTS; ++i) {
            sum += bank.balanceOf(_account(i));
        }
        sum += bank.balanceOf(LOVE_BANK) + bank.balanceOf(SHARING_ORDERS);
    }

    function _account(uint256 number) private pure returns (address) {
        return address(uint160(uint128(resident(number % RESIDENTS))));
    }

    function _stranger(bytes16 publisher) private pure returns (bytes16) {
        return publisher == resident(0) ? resident(1) : resident(0);
    }

    function _as(bytes16 who) private {
        for (uint256 i = 0; i < RESIDENTS; ++i) {
            if (resident(i) == who) asResident(i);
        }
    }

    /// @param still the call may move no points at all.
    /// @dev The prank set before is meant for the call, so nothing may be called in between.
    function _try(address target, bytes memory call, bool still) private returns (bool success) {
        (success,) = target.call(call);
        bytes32 fingerprint = _fingerprint();
        if (success) ++succeeded;
        if (still && fingerprint != _last) movedOutside = true;
        _last = fingerprint;
    }

    function _fingerprint() private view returns (bytes32) {
        uint256[6] memory all;
        for (uint256 i = 0; i < RESIDENTS; ++i) {
            all[i] = bank.balanceOf(_account(i));
        }
        (all[4], all[5]) = (bank.balanceOf(LOVE_BANK), bank.balanceOf(SHARING_ORDERS));
        return keccak256(abi.encode(all));
    }
}

contract PointsInvariantTest is DistrictTest {
    PointsActor internal actor;

    function testTheActorReachesTheEnd() external {
        actor.issue(0, 2, false);
        actor.issue(0, 2, true);
        actor.publish(0, false, 10);
        for (uint256 i = 0; i < 6; ++i) {
            actor.forward(0);
        }
        vm.assertEq(actor.succeeded(), 9);
        vm.assertEq(bank.balanceOf(address(uint160(uint128(resident(1))))), 12);
    }

    function setUp() public override {
        super.setUp();
        actor = new PointsActor();
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(actor);
    }

    function invariantIssuedLessBurnedIsTheSumOfBalances() external view {
        vm.assertEq(bank.issued() - bank.burned(), actor.balances());
        vm.assertEq(bank.totalSupply(), actor.balances());
    }

    function invariantEscrowIsWhatOpenOrdersHold() external view {
        vm.assertEq(bank.balanceOf(SHARING_ORDERS), actor.held());
    }

    function invariantNothingMovesOutsideOrdersDonationsAndGrants() external view {
        vm.assertFalse(actor.movedOutside());
    }
}
