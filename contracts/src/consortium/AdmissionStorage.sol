// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Countersigning} from "../access/Countersigning.sol";
import {IConsortium} from "./IConsortium.sol";

/// @title What the node reads straight from storage
/// @dev Its place is an ERC-7201 base, its slots are in node/chain/rules.py: do not move anything, add at the end.
abstract contract AdmissionStorage is Countersigning, IConsortium {
    struct Party {
        bytes32 rpIdHash;
        uint64 fromHeight;
        uint64 untilHeight;
        uint16 organisation;
        uint8 flags;
        uint8 domain;
    }

    /// @custom:storage-location erc7201:shelian.consortium.admission
    struct Admission {
        mapping(bytes32 => Party) parties;
        mapping(bytes32 => mapping(bytes32 => bool)) origins;
        mapping(bytes32 => mapping(address => bool)) callables;
        mapping(address => bool) deployers;
        mapping(uint256 => Rules) rules;
        uint256 validatorsVersion;
        bytes32[] validatorKeys;
        mapping(bytes32 => uint64) powers;
        mapping(bytes32 => uint16) validatorOrganisations;
        mapping(bytes20 => uint16) peers;
    }

    /// @dev keccak256(abi.encode(uint256(keccak256("shelian.consortium.admission")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 internal constant ADMISSION = 0x85660c41603fd904947602182d100c98c78b75e13d4a05016211a644d6484800;

    function _admission() internal pure returns (Admission storage admission) {
        assembly ("memory-safe") {
            admission.slot := ADMISSION
        }
    }
}
