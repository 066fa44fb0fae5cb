// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CONSORTIUM} from "../src/access/Constants.sol";
import {District, DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

/// @title Nodes, validators and organisations come and go at random
contract NetworkActor is District {
    uint256 internal constant KEYS = 7;
    uint256 internal constant NODES = 12;

    /// @notice Whose each node should be; 0 = nobody's.
    mapping(bytes20 => uint16) public expected;
    bool public quorumLost;
    bool public tooSoon;
    uint256 private _lastChange;

    constructor() {
        for (uint256 i = 0; i < 4; ++i) {
            expected[node(i)] = validating(i);
        }
    }

    function setPeer(uint8 which, uint8 organisation, bool allowed) external {
        bytes20 nodeId = node(which % NODES);
        uint16 own = organisation % (ORGANISATIONS + 2);
        if (!_call(abi.encodeCall(consortium.setPeer, (nodeId, own, allowed)))) return;
        expected[nodeId] = allowed ? own : 0;
    }

    function suspend(uint8 organisation) external {
        (bytes32[] memory keys, uint64[] memory powers,) = current();
        if (_call(abi.encodeCall(consortium.suspendOrganisation, (organisation % ORGANISATIONS + 1)))) _check(keys, powers);
    }

    function resume(uint8 organisation) external {
        _call(abi.encodeCall(consortium.resumeOrganisation, (organisation % ORGANISATIONS + 1)));
    }

    function change(uint8 first, uint8 firstPower, uint8 second, uint8 secondPower) external {
        (bytes32[] memory before, uint64[] memory powersBefore,) = current();
        bytes32[] memory keys = new bytes32[](2);
        uint64[] memory powers = new uint64[](2);
        uint16[] memory owners = new uint16[](2);
        (keys[0], keys[1]) = (validatorKey(first % KEYS), validatorKey(second % KEYS));
        (powers[0], powers[1]) = (firstPower % 16, secondPower % 16);
        (owners[0], owners[1]) = (_owner(keys[0], first), _owner(keys[1], second));
        if (!_call(abi.encodeCall(consortium.changeValidators, (keys, powers, owners)))) return;
        _noteChange();
        _check(before, powersBefore);
    }

    function rotate(uint8 first, uint8 second) external {
        (bytes32[] memory before, uint64[] memory powers,) = current();
        bytes memory data = abi.encodeCall(consortium.rotateValidatorKey, (validatorKey(first % KEYS), validatorKey(second % KEYS)));
        if (!_call(data)) return;
        _noteChange();
        _check(before, powers);
    }

    function nextBlock() external {
        vm.roll(block.number + 1);
    }

    function current() public view returns (bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners) {
        (, keys, powers, owners) = consortium.validators();
    }

    function active(uint16 organisation) public view returns (bool) {
        (, uint8 status,,) = consortium.organisation(organisation);
        return status == 1;
    }

    /// @dev The machines that signed before, without those of suspended organisations, hold more than two thirds of the new set.
    function _check(bytes32[] memory before, uint64[] memory powersBefore) private {
        (bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners) = current();
        uint256 total;
        uint256 carried;
        for (uint256 i = 0; i < keys.length; ++i) {
            total += powers[i];
            if (!active(owners[i])) continue;
            for (uint256 j = 0; j < before.length; ++j) {
                if (before[j] == keys[i]) carried += powers[i] < powersBefore[j] ? powers[i] : powersBefore[j];
            }
        }
        if (carried * 3 <= total * 2) quorumLost = true;
    }

    function _noteChange() private {
        if (_lastChange != 0 && block.number < _lastChange + 2) tooSoon = true;
        _lastChange = block.number;
    }

    function _owner(bytes32 key, uint8 seed) private view returns (uint16) {
        (bytes32[] memory keys,, uint16[] memory owners) = current();
        for (uint256 i = 0; i < keys.length; ++i) {
            if (keys[i] == key) return owners[i];
        }
        return seed % ORGANISATIONS + 1;
    }

    function _call(bytes memory data) private returns (bool success) {
        vm.prank(CONSORTIUM);
        (success,) = CONSORTIUM.call(data);
    }
}

contract NetworkInvariantTest is DistrictTest {
    NetworkActor internal actor;
    bytes32 internal rulesBefore;
    bytes32 internal partyBefore;

    function setUp() public override {
        super.setUp();
        actor = new NetworkActor();
        (rulesBefore, partyBefore) = neighbours();
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(actor);
    }

    /// @dev What lies in the same namespace and is not changed here.
    function neighbours() internal view returns (bytes32, bytes32) {
        return (keccak256(abi.encode(consortium.rules(1))), keccak256(abi.encode(consortium.relyingParty(STAFF_PARTY))));
    }

    function invariantTheQuorumIsNeverLost() external view {
        vm.assertFalse(actor.quorumLost());
        vm.assertFalse(actor.tooSoon());
        (bytes32[] memory keys, uint64[] memory powers, uint16[] memory owners) = actor.current();
        uint256 total;
        uint256 connected;
        for (uint256 i = 0; i < keys.length; ++i) {
            vm.assertTrue(powers[i] > 0);
            vm.assertTrue(owners[i] > 0 && owners[i] <= ORGANISATIONS);
            for (uint256 j = 0; j < i; ++j) {
                vm.assertTrue(keys[i] != keys[j]);
            }
            total += powers[i];
            if (actor.active(owners[i])) connected += powers[i];
        }
        vm.assertTrue(connected * 3 > total * 2);
    }

    function invariantThePeersAreThoseThatWereSetAndTheirNeighboursStay() external view {
        (uint256 total, bytes20[] memory nodeIds, uint16[] memory owners) = consortium.peers(0, 1_000);
        vm.assertEq(nodeIds.length, total);
        uint256 count;
        for (uint256 i = 0; i < 12; ++i) {
            uint16 owner = actor.expected(node(i));
            if (owner != 0) ++count;
            vm.assertEq(consortium.peer(node(i)), actor.active(owner) ? owner : 0);
        }
        vm.assertEq(total, count);
        for (uint256 i = 0; i < total; ++i) {
            vm.assertEq(owners[i], actor.expected(nodeIds[i]));
            for (uint256 j = 0; j < i; ++j) {
                vm.assertTrue(nodeIds[i] != nodeIds[j]);
            }
        }
        (bytes32 rulesNow, bytes32 partyNow) = neighbours();
        vm.assertEq(rulesNow, rulesBefore);
        vm.assertEq(partyNow, partyBefore);
    }
}
