// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    APPROVER,
    AUDIT,
    COMMUNITY,
    COMMUNITY_CLERK,
    CONSORTIUM,
    CORRECTION_CASES,
    CORRECTION_DOCUMENTS,
    COURT,
    DATA_BUREAU,
    HANDLER,
    IDENTITY_REGISTRY,
    JUSTICE,
    LOVE_BANK,
    OPERATOR,
    POLICE,
    PROCURATORATE,
    RESIDENT,
    SEALER,
    SERVICE,
    SERVICES,
    SHARING,
    SHARING_ORDERS,
    STAFF,
    SUPERVISOR,
    SYSTEM
} from "../src/access/Constants.sol";
import {IConsortium} from "../src/consortium/IConsortium.sol";
import {ICorrectionCases} from "../src/correction/ICorrectionCases.sol";
import {ICorrectionDocuments} from "../src/correction/ICorrectionDocuments.sol";
import {IIdentityRegistry} from "../src/identity/IIdentityRegistry.sol";
import {ILoveBank} from "../src/sharing/ILoveBank.sol";
import {ISharingOrders} from "../src/sharing/ISharingOrders.sol";
import {vm} from "./Vm.sol";

/// @title A district at the fixed addresses: seven organisations, each with two registrars and its people
abstract contract District {
    IConsortium internal constant consortium = IConsortium(CONSORTIUM);
    IIdentityRegistry internal constant registry = IIdentityRegistry(IDENTITY_REGISTRY);
    ICorrectionCases internal constant cases = ICorrectionCases(CORRECTION_CASES);
    ICorrectionDocuments internal constant documents = ICorrectionDocuments(CORRECTION_DOCUMENTS);
    ILoveBank internal constant bank = ILoveBank(LOVE_BANK);
    ISharingOrders internal constant orders = ISharingOrders(SHARING_ORDERS);
    address internal constant ANCHORS = address(0x5107);

    uint256 internal constant NOW = 1_795_000_000;
    bytes32 internal constant RP_ID_HASH = keccak256("localhost");
    bytes32 internal constant STAFF_PARTY = keccak256("staff");
    bytes32 internal constant SHARING_PARTY = keccak256("sharing");
    bytes32 internal constant SERVICE_PARTY = keccak256("service");

    uint16 internal constant COURT_ID = 1;
    uint16 internal constant PROCURATORATE_ID = 2;
    uint16 internal constant POLICE_ID = 3;
    uint16 internal constant JUSTICE_ID = 4;
    uint16 internal constant COMMUNITY_ID = 5;
    uint16 internal constant AUDITOR_ID = 6;
    uint16 internal constant BUREAU_ID = 7;
    uint16 internal constant ORGANISATIONS = 7;
    uint8 internal constant WEBAUTHN = 1;

    function _build() internal {
        vm.warp(NOW);
        vm.roll(0);
        _deploy(CONSORTIUM, "Consortium");
        _deploy(IDENTITY_REGISTRY, "IdentityRegistry");
        _deploy(CORRECTION_CASES, "CorrectionCases");
        _deploy(CORRECTION_DOCUMENTS, "CorrectionDocuments");
        _deploy(LOVE_BANK, "LoveBank");
        _deploy(SHARING_ORDERS, "SharingOrders");
        _deploy(ANCHORS, "Anchors");
        _members();
        _parties();
        _people();
        _tables();
        vm.roll(1);
    }

    function _deploy(address target, string memory name) private {
        string memory artifact = vm.readFile(string.concat("build/", name, ".json"));
        vm.etch(target, vm.parseJsonBytes(artifact, ".runtime"));
    }

    function kindOf(uint16 organisation) internal pure returns (uint8) {
        uint8[8] memory kinds = [0, COURT, PROCURATORATE, POLICE, JUSTICE, COMMUNITY, AUDIT, DATA_BUREAU];
        return kinds[organisation];
    }

    function identity(string memory name, uint16 organisation) internal pure returns (bytes16) {
        return bytes16(keccak256(abi.encode("identity", name, organisation)));
    }

    function key(string memory name, uint16 organisation) internal pure returns (bytes memory) {
        return abi.encode(keccak256(abi.encode("x", name, organisation)), keccak256(abi.encode("y", name, organisation)));
    }

    function account(string memory name, uint16 organisation) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(WEBAUTHN, key(name, organisation))))));
    }

    function as_(string memory name, uint16 organisation) internal {
        vm.prank(account(name, organisation));
    }

    function validatorKey(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("validator", number));
    }

    /// @dev Whose the first four validators are: court, community, auditor, bureau.
    function validating(uint256 number) internal pure returns (uint16) {
        return number == 0 ? COURT_ID : uint16(COMMUNITY_ID + number - 1);
    }

    function node(uint256 number) internal pure returns (bytes20) {
        return bytes20(keccak256(abi.encode("node", number)));
    }

    function resident(uint256 number) internal pure returns (bytes16) {
        return identity(residentName(number), BUREAU_ID);
    }

    function asResident(uint256 number) internal {
        as_(residentName(number), BUREAU_ID);
    }

    function residentName(uint256 number) internal pure returns (string memory) {
        return string(abi.encodePacked("resident ", bytes1(uint8(0x30 + number))));
    }

    function install(string memory name, uint16 organisation, uint8 domain, uint8 level, uint32 roles, bytes32 party) internal {
        vm.prank(SYSTEM);
        registry.installIdentity(
            organisation, identity(name, organisation), domain, level, roles, WEBAUTHN, key(name, organisation), party
        );
    }

    function _members() private {
        for (uint16 id = 1; id <= ORGANISATIONS; ++id) {
            vm.prank(SYSTEM);
            consortium.addOrganisation(id, kindOf(id), keccak256(abi.encode("encryption", id)), keccak256(abi.encode("ca", id)));
        }
        bytes32[] memory keys = new bytes32[](4);
        uint64[] memory powers = new uint64[](4);
        uint16[] memory owners = new uint16[](4);
        for (uint256 i = 0; i < 4; ++i) {
            (keys[i], powers[i], owners[i]) = (validatorKey(i), 10, validating(i));
        }
        vm.prank(SYSTEM);
        consortium.changeValidators(keys, powers, owners);
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(SYSTEM);
            consortium.setPeer(node(i), validating(i), true);
        }
        vm.prank(SYSTEM);
        consortium.addRules(firstRules());
    }

    function firstRules() internal pure returns (IConsortium.Rules memory row) {
        row.blockGas = 40_000_000;
        row.transactionGas = 30_000_000;
        row.correctionGas = 10_000_000;
        row.identityGas = 30_000_000;
        row.maxTransactionBytes = 131_072;
        row.byteGas = 8;
        row.baseGas = 21_000;
        row.maxCalls = 100;
        row.maxValidity = 86_400;
        row.fork = 1;
        (row.schemeGas[1], row.schemeGas[2], row.schemeGas[3]) = (8_000, 9_000, 7_000);
        (row.schemeGas[4], row.schemeGas[5]) = (56_000, 17_000);
    }

    function _parties() private {
        _party(STAFF_PARTY, STAFF, 0);
        _party(SHARING_PARTY, SHARING, 0);
        _party(SERVICE_PARTY, SERVICES, 1);
        vm.prank(SYSTEM);
        consortium.setCallable(STAFF_PARTY, CONSORTIUM, true);
    }

    function _party(bytes32 id, uint8 domain, uint8 flags) private {
        vm.prank(SYSTEM);
        consortium.setRelyingParty(id, IConsortium.RelyingParty(RP_ID_HASH, 0, 0, BUREAU_ID, flags, domain));
    }

    function _people() private {
        for (uint16 id = 1; id <= ORGANISATIONS; ++id) {
            for (uint256 i = 0; i < 2; ++i) {
                string memory name = i == 0 ? "registrar a" : "registrar b";
                vm.prank(SYSTEM);
                registry.installRegistrar(id, identity(name, id), WEBAUTHN, key(name, id), STAFF_PARTY);
            }
            install("handler", id, STAFF, 4, HANDLER, STAFF_PARTY);
            install("approver", id, STAFF, 4, APPROVER, STAFF_PARTY);
            install("sealer", id, STAFF, 4, SEALER, STAFF_PARTY);
            install("everything", id, STAFF, 4, HANDLER | APPROVER | SEALER | OPERATOR, STAFF_PARTY);
            install("service", id, SERVICES, 0, SERVICE, SERVICE_PARTY);
        }
        install("supervisor", PROCURATORATE_ID, STAFF, 4, SUPERVISOR, STAFF_PARTY);
        install("clerk a", COMMUNITY_ID, STAFF, 4, COMMUNITY_CLERK, STAFF_PARTY);
        install("clerk b", COMMUNITY_ID, STAFF, 4, COMMUNITY_CLERK, STAFF_PARTY);
        for (uint256 i = 0; i < 4; ++i) {
            install(residentName(i), BUREAU_ID, SHARING, 2, RESIDENT, SHARING_PARTY);
        }
    }

    function _tables() private {
        ICorrectionDocuments.Rule memory judgment;
        judgment.senders = uint16(1 << COURT | 1 << POLICE);
        judgment.recipients = uint16(1 << JUSTICE);
        judgment.copies = uint16(1 << PROCURATORATE | 1 << POLICE);
        (judgment.class, judgment.amount, judgment.unit, judgment.start, judgment.flags) = (1, 10, 2, 1, 1);
        (judgment.replies[0], judgment.replies[1]) = (8, 9);
        (judgment.replyAmount, judgment.replyUnit) = (5, 2);
        _rule(7, judgment);
        ICorrectionDocuments.Rule memory receipt;
        receipt.senders = uint16(1 << JUSTICE);
        receipt.recipients = uint16(1 << COURT | 1 << PROCURATORATE | 1 << POLICE);
        (receipt.class, receipt.amount, receipt.unit, receipt.start, receipt.flags) = (1, 5, 2, 2, 1);
        _rule(8, receipt);
        _rule(12, receipt);
        ICorrectionDocuments.Rule memory plan;
        plan.senders = uint16(1 << JUSTICE);
        plan.recipients = uint16(1 << 12 | 1 << 13);
        plan.class = 1;
        _rule(16, plan);
        ICorrectionDocuments.Rule memory arrest;
        (arrest.senders, arrest.recipients, arrest.class) = (uint16(1 << JUSTICE), uint16(1 << COURT), 2);
        _rule(41, arrest);
        ICorrectionDocuments.Rule memory restricted;
        (restricted.senders, restricted.recipients, restricted.copies, restricted.class) = (0x1e, 0x1e, 0x1e, 2);
        _rule(0, restricted);
        vm.prank(SYSTEM);
        bank.setParameters(1_000, 500);
        vm.prank(SYSTEM);
        orders.setParameters(ISharingOrders.Parameters(72 hours, 30 minutes, 200, 20, 50));
        vm.prank(SYSTEM);
        orders.setKindWeight(21, 120);
    }

    function _rule(uint16 code, ICorrectionDocuments.Rule memory rule) private {
        vm.prank(SYSTEM);
        documents.setRule(code, rule);
    }
}

/// @title A test that starts in a fresh district
abstract contract DistrictTest is District {
    function setUp() public virtual {
        _build();
    }
}
