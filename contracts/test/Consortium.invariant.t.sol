// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CONSORTIUM, HANDLER, REGISTRAR} from "../src/access/Constants.sol";
import {District, DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

/// @title Organisations vote, registrars come and go at random
contract ConsortiumActor is District {
    uint256 internal constant PROPOSALS = 3;
    string[4] internal _names = ["approver", "everything", "handler", "registrar a"];
    string[4] internal _staff = ["registrar a", "registrar b", "handler", "sealer"];
    mapping(uint256 => mapping(uint16 => uint256)) public votes;
    bool public votedTwice;
    bool public executedWithoutMajority;

    function propose(uint8 which, uint8 organisation, uint8 who) external {
        as_(_names[who % 4], organisation % ORGANISATIONS + 1);
        _call(CONSORTIUM, abi.encodeCall(consortium.propose, (_id(which), CONSORTIUM, _data(which))));
    }

    function vote(uint8 which, uint8 organisation, uint8 who, bool approve) external {
        uint16 own = organisation % ORGANISATIONS + 1;
        as_(_names[who % 4], own);
        if (!_call(CONSORTIUM, abi.encodeCall(consortium.vote, (_id(which), approve)))) return;
        if (votes[which % PROPOSALS][own] != 0) votedTwice = true;
        votes[which % PROPOSALS][own] = approve ? 1 : 2;
    }

    function execute(uint8 which, uint8 organisation) external {
        as_("approver", organisation % ORGANISATIONS + 1);
        if (!_call(CONSORTIUM, abi.encodeCall(consortium.execute, (_id(which), CONSORTIUM, _data(which))))) return;
        uint256 yes;
        for (uint16 id = 1; id <= ORGANISATIONS; ++id) {
            if (votes[which % PROPOSALS][id] == 1) ++yes;
        }
        if (yes * 2 <= ORGANISATIONS) executedWithoutMajority = true;
    }

    function registrars(uint8 organisation, uint8 actorIndex, uint8 target, uint8 what) external {
        uint16 own = organisation % 2 + 1;
        bytes16 who = identity(_staff[target % 4], own);
        bytes[5] memory calls = [
            abi.encodeCall(registry.setRoles, (who, REGISTRAR)),
            abi.encodeCall(registry.setRoles, (who, HANDLER)),
            abi.encodeCall(registry.suspend, (who)),
            abi.encodeCall(registry.resume, (who)),
            abi.encodeCall(registry.revokeCredential, (account(_staff[target % 4], own)))
        ];
        as_(_staff[actorIndex % 4], own);
        _call(address(registry), calls[what % 5]);
    }

    /// @notice Registrars that can act, counted one by one.
    function working(uint16 organisation) external view returns (uint256 count) {
        for (uint256 i = 0; i < 4; ++i) {
            uint256 word = registry.standing(account(_staff[i], organisation));
            if (uint32(word >> 144) & REGISTRAR != 0) ++count;
        }
    }

    function _id(uint8 which) private pure returns (bytes32) {
        return keccak256(abi.encode("proposal", which % PROPOSALS));
    }

    function _data(uint8 which) private pure returns (bytes memory) {
        return abi.encodeCall(consortium.setDeployer, (address(uint160(which % PROPOSALS + 1)), true));
    }

    function _call(address target, bytes memory data) private returns (bool success) {
        (success,) = target.call(data);
    }
}

contract ConsortiumInvariantTest is DistrictTest {
    ConsortiumActor internal actor;

    function setUp() public override {
        super.setUp();
        actor = new ConsortiumActor();
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(actor);
    }

    function invariantOneVotePerOrganisationAndAMajority() external view {
        vm.assertFalse(actor.votedTwice());
        vm.assertFalse(actor.executedWithoutMajority());
    }

    function invariantTwoRegistrarsCanAlwaysAct() external view {
        for (uint16 id = 1; id <= ORGANISATIONS; ++id) {
            vm.assertTrue(registry.registrarCount(id) >= 2);
        }
        vm.assertEq(registry.registrarCount(1), actor.working(1));
        vm.assertEq(registry.registrarCount(2), actor.working(2));
    }
}
