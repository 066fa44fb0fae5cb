// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Numbers every contract and program shares: fixed addresses, roles, domains, organisation kinds.

address constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
address constant CONSORTIUM = 0x0000000000000000000000000000000000005101;
address constant IDENTITY_REGISTRY = 0x0000000000000000000000000000000000005102;
address constant CORRECTION_CASES = 0x0000000000000000000000000000000000005103;
address constant CORRECTION_DOCUMENTS = 0x0000000000000000000000000000000000005104;
address constant LOVE_BANK = 0x0000000000000000000000000000000000005105;
address constant SHARING_ORDERS = 0x0000000000000000000000000000000000005106;

uint32 constant HANDLER = 1;
uint32 constant APPROVER = 2;
uint32 constant SEALER = 4;
uint32 constant SUPERVISOR = 8;
uint32 constant GRID_WORKER = 16;
uint32 constant AUDITOR = 32;
uint32 constant OPERATOR = 64;
uint32 constant COMMUNITY_CLERK = 128;
uint32 constant REGISTRAR = 256;
uint32 constant SERVICE = 512;
uint32 constant RESIDENT = 1024;

uint8 constant STAFF = 1;
uint8 constant SHARING = 2;
uint8 constant SERVICES = 3;

uint8 constant POLICE = 1;
uint8 constant PROCURATORATE = 2;
uint8 constant COURT = 3;
uint8 constant JUSTICE = 4;
uint8 constant COMMUNITY = 5;
uint8 constant AUDIT = 6;
uint8 constant DATA_BUREAU = 7;
/// @dev Police, procuratorate, court and justice as a mask of kinds.
uint256 constant CORRECTION_KINDS = 0x1e;
/// @dev Organisation ids are 1..240, so that a set of them (and of outside kinds) fits one word.
uint16 constant MAXIMUM_ORGANISATION = 240;
