// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {District, DistrictTest} from "./District.sol";
import {vm} from "./Vm.sol";

/// @title Anybody tries anything on a handful of documents; a model says what may succeed
contract DocumentsActor is District {
    uint256 internal constant DOCUMENTS = 4;
    bytes32 internal constant MANIFEST = keccak256("manifest");
    string[5] internal _names = ["handler", "approver", "sealer", "everything", "service"];

    struct Model {
        uint8 state;
        uint16 sender;
        bytes16 drafter;
        uint8 delivered;
    }

    mapping(uint256 => Model) internal _models;
    /// @notice Something succeeded that the model forbids.
    bool public broken;
    uint256 public furthest;

    function draft(uint8 which, uint8 who, uint8 organisation, uint8 to) external {
        (uint256 n, string memory name, uint16 own) = _pick(which, who, organisation);
        uint16[] memory list = new uint16[](1);
        list[0] = to % ORGANISATIONS + 1;
        as_(name, own);
        bool success = _call(abi.encodeCall(documents.draft, (bytes32(n), 0, 7, MANIFEST, list, new uint16[](0), 0, 0)));
        bool right = (own == COURT_ID || own == POLICE_ID) && list[0] == JUSTICE_ID && (who % 5 == 0 || who % 5 == 3);
        _judge(success, right && _models[n].state == 0);
        if (success) _models[n] = Model(1, own, identity(name, own), 0);
    }

    function advance(uint8 which, uint8 who, uint8 organisation, uint8 what, bool otherManifest) external {
        (uint256 n, string memory name, uint16 own) = _pick(which, who, organisation);
        Model storage model = _models[n];
        bytes32 manifest = otherManifest ? keccak256("other") : MANIFEST;
        uint8 step = what % 3;
        bytes memory call = step == 0
            ? abi.encodeCall(documents.approve, (bytes32(n), manifest, 0))
            : step == 1
                ? abi.encodeCall(documents.seal, (bytes32(n), manifest, 0))
                : abi.encodeCall(documents.submit, (bytes32(n), uint48(block.timestamp), 0));
        as_(name, own);
        bool success = _call(call);
        bool role = who % 5 == 3 || who % 5 == (step == 0 ? 1 : step == 1 ? 2 : 0);
        bool right = role && own == model.sender && model.state == step + 1 && (step == 2 || !otherManifest)
            && !(step == 0 && model.drafter == identity(name, own));
        _judge(success, right);
        if (success) model.state = step + 2;
    }

    function receive_(uint8 which, uint8 who, uint8 organisation, uint8 what) external {
        (uint256 n, string memory name, uint16 own) = _pick(which, who, organisation);
        Model storage model = _models[n];
        uint8 step = what % 3;
        bytes memory call = step == 0
            ? abi.encodeCall(documents.deliver, (bytes32(n), MANIFEST))
            : step == 1
                ? abi.encodeCall(documents.signFor, (bytes32(n), 0))
                : abi.encodeCall(documents.returnForCorrection, (bytes32(n), 0, 0));
        as_(name, own);
        bool success = _call(call);
        bool role = step == 0 ? who % 5 == 4 : who % 5 == 0 || who % 5 == 3;
        bool place = own == JUSTICE_ID && model.state == 4;
        bool order = step == 0 ? model.delivered == 0 : step == 1 ? model.delivered == 1 : model.delivered == 1 || model.delivered == 2;
        _judge(success, role && place && order);
        if (success) model.delivered = step + 1;
        if (success && model.delivered > furthest) furthest = model.delivered;
    }

    /// @dev The next step of a document by the right person, so that whole lives are reached.
    function forward(uint8 which) external {
        Model storage model = _models[which % DOCUMENTS + 1];
        if (model.state == 0) this.draft(which, 0, 0, uint8(JUSTICE_ID - 1));
        else if (model.state < 4) this.advance(which, model.state % 3, 0, model.state - 1, false);
        else if (model.delivered == 0) this.receive_(which, 4, 2, 0);
        else if (model.delivered == 1) this.receive_(which, 0, 2, 1);
    }

    function agrees() external view returns (bool) {
        for (uint256 n = 1; n <= DOCUMENTS; ++n) {
            (uint8 state,, uint16 sender,,,,,,, bytes16 drafter,) = documents.document(bytes32(n));
            (uint8 delivered,,,,) = documents.delivery(bytes32(n), JUSTICE_ID);
            Model storage model = _models[n];
            if (state != model.state || sender != model.sender || drafter != model.drafter || delivered != model.delivered) {
                return false;
            }
        }
        return true;
    }

    function _pick(uint8 which, uint8 who, uint8 organisation) private view returns (uint256, string memory, uint16) {
        return (which % DOCUMENTS + 1, _names[who % 5], uint16([COURT_ID, COURT_ID, JUSTICE_ID, POLICE_ID, PROCURATORATE_ID][organisation % 5]));
    }

    function _call(bytes memory data) private returns (bool success) {
        (success,) = address(documents).call(data);
    }

    function _judge(bool success, bool right) private {
        if (success != right) broken = true;
    }
}

contract DocumentsInvariantTest is DistrictTest {
    DocumentsActor internal actor;

    function testTheActorReachesTheEnd() external {
        for (uint256 i = 0; i < 6; ++i) {
            actor.forward(0);
        }
        vm.assertEq(actor.furthest(), 2);
        vm.assertFalse(actor.broken());
        vm.assertTrue(actor.agrees());
    }

    function setUp() public override {
        super.setUp();
        actor = new DocumentsActor();
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(actor);
    }

    function invariantOnlyTheRightStepByTheRightPersonSucceeds() external view {
        vm.assertFalse(actor.broken());
        vm.assertTrue(actor.agrees(), "the contract and the model differ");
    }
}
