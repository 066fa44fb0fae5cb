// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    APPROVER,
    COMMUNITY,
    COMMUNITY_CLERK,
    CONSORTIUM,
    IDENTITY_REGISTRY,
    RESIDENT,
    SHARING,
    SHARING_ORDERS,
    STAFF,
    SYSTEM
} from "../access/Constants.sol";
import {Countersigning} from "../access/Countersigning.sol";
import {Standing} from "../access/Standing.sol";
import {IIdentityRegistry} from "../identity/IIdentityRegistry.sol";
import {ILoveBank} from "./ILoveBank.sol";

/// @title LoveBank at its fixed address
contract LoveBank is Countersigning, ILoveBank {
    using Standing for uint256;

    uint8 internal constant ISSUE = 1;
    uint8 internal constant BURN = 2;
    uint8 internal constant HOLD = 3;
    uint8 internal constant PAY = 4;
    uint8 internal constant REFUND = 5;
    uint8 internal constant DONATION = 6;
    uint8 internal constant GRANT = 7;
    uint8 internal constant REVERSAL = 8;

    uint256 internal constant FROZEN = 1 << 64;
    uint64 internal constant MAXIMUM_PARAMETER = 1_000_000_000;
    uint8 internal constant ACTIVE = 1;

    /// @dev balance 64 bits | frozen 1 at 64
    mapping(address => uint256) private _accounts;
    /// @dev Hash of an entry => how many such entries were made and not reversed.
    mapping(bytes32 => uint256) private _reversible;
    uint128 private _issued;
    uint128 private _burned;
    uint64 private _maxIssue;
    uint64 private _maxGrant;

    modifier onlyOrders() {
        if (msg.sender != SHARING_ORDERS) revert WrongCaller(msg.sender, SHARING_ORDERS);
        _;
    }

    /// @inheritdoc ILoveBank
    function issue(bytes16 identity, uint64 amount, bytes32 ref) external {
        uint256 word = _clerk();
        _checkAmount(amount, _maxIssue);
        _requireResident(identity);
        if (!_countersigned(word)) return;
        _issue(accountOf(identity), amount, ref);
    }

    /// @inheritdoc ILoveBank
    function issueToFund(uint64 amount, bytes32 ref) external {
        uint256 word = _clerk();
        _checkAmount(amount, _maxIssue);
        if (!_countersigned(word)) return;
        _issue(address(this), amount, ref);
    }

    /// @inheritdoc ILoveBank
    function donate(uint64 amount, bytes32 ref) external {
        address account = _resident();
        _checkAmount(amount, type(uint64).max);
        _move(account, address(this), amount, DONATION, ref);
        _remember(ref, account, address(this), amount, DONATION);
    }

    /// @inheritdoc ILoveBank
    function grant(bytes16 identity, uint64 amount, bytes32 ref) external {
        uint256 word = _standing();
        _require(word, STAFF, APPROVER);
        _requireKind(word, uint256(1) << COMMUNITY);
        _checkAmount(amount, _maxGrant);
        _requireResident(identity);
        if (!_countersigned(word)) return;
        address account = accountOf(identity);
        _move(address(this), account, amount, GRANT, ref);
        _remember(ref, address(this), account, amount, GRANT);
    }

    /// @inheritdoc ILoveBank
    function redeem(uint64 amount, bytes32 ref) external {
        address account = _resident();
        _checkAmount(amount, type(uint64).max);
        _burned += amount;
        _move(account, address(0), amount, BURN, ref);
    }

    /// @inheritdoc ILoveBank
    function burnFromFund(uint64 amount, bytes32 ref) external {
        uint256 word = _clerk();
        _checkAmount(amount, type(uint64).max);
        if (!_countersigned(word)) return;
        _burned += amount;
        _move(address(this), address(0), amount, BURN, ref);
    }

    /// @inheritdoc ILoveBank
    function freeze(bytes16 identity, bytes32 reason) external {
        uint256 word = _clerk();
        address account = accountOf(identity);
        if (IIdentityRegistry(IDENTITY_REGISTRY).identityOf(identity).domain() != SHARING) revert NotAResident(identity);
        if (_accounts[account] & FROZEN != 0) revert AccountIsFrozen(identity);
        _accounts[account] |= FROZEN;
        emit AccountFrozen(identity, word.identity(), reason);
    }

    /// @inheritdoc ILoveBank
    function unfreeze(bytes16 identity, bytes32 reason) external {
        uint256 word = _clerk();
        address account = accountOf(identity);
        if (_accounts[account] & FROZEN == 0) revert AccountNotFrozen(identity);
        if (!_countersigned(word)) return;
        _accounts[account] &= ~FROZEN;
        emit AccountUnfrozen(identity, word.identity(), reason);
    }

    /// @inheritdoc ILoveBank
    function reverseEntry(bytes32 ref, address from, address to, uint64 amount, uint8 kind) external {
        uint256 word = _clerk();
        bytes32 entry = _entry(ref, from, to, amount, kind);
        uint256 left = _reversible[entry];
        if (left == 0) revert NotReversible(ref, from, to, amount, kind);
        if (!_countersigned(word)) return;
        _reversible[entry] = left - 1;
        if (kind == ISSUE) _burned += amount;
        // A freeze does not stop the correction of an account.
        _take(to, amount);
        if (from != address(0)) _accounts[from] += amount;
        _note(to, from, amount, REVERSAL, ref);
    }

    /// @inheritdoc ILoveBank
    function setParameters(uint64 maxIssue, uint64 maxGrant) external governed {
        _checkAmount(maxIssue, MAXIMUM_PARAMETER);
        _checkAmount(maxGrant, MAXIMUM_PARAMETER);
        (_maxIssue, _maxGrant) = (maxIssue, maxGrant);
        emit ParametersSet(maxIssue, maxGrant);
    }

    /// @inheritdoc ILoveBank
    function hold(bytes32 order, bytes16 requester, uint64 amount) external onlyOrders {
        _move(accountOf(requester), SHARING_ORDERS, amount, HOLD, order);
    }

    /// @inheritdoc ILoveBank
    function settle(bytes32 order, bytes16 provider, uint64 paid, bytes16 requester, uint64 refunded) external onlyOrders {
        if (paid != 0) {
            address to = accountOf(provider);
            _move(SHARING_ORDERS, to, paid, PAY, order);
            // A payment is undone towards the requester, not into the escrow.
            _remember(order, accountOf(requester), to, paid, PAY);
        }
        if (refunded != 0) _move(SHARING_ORDERS, accountOf(requester), refunded, REFUND, order);
    }

    /// @inheritdoc ILoveBank
    function transfer(address, uint256) external pure returns (bool) {
        revert NoFreeTransfer();
    }

    /// @inheritdoc ILoveBank
    function approve(address, uint256) external pure returns (bool) {
        revert NoFreeTransfer();
    }

    /// @inheritdoc ILoveBank
    function transferFrom(address, address, uint256) external pure returns (bool) {
        revert NoFreeTransfer();
    }

    /// @inheritdoc ILoveBank
    function name() external pure returns (string memory) {
        return unicode"爱心积分 Love Bank Points";
    }

    /// @inheritdoc ILoveBank
    function symbol() external pure returns (string memory) {
        return "LOVE";
    }

    /// @inheritdoc ILoveBank
    function decimals() external pure returns (uint8) {
        return 0;
    }

    /// @inheritdoc ILoveBank
    function allowance(address, address) external pure returns (uint256) {
        return 0;
    }

    /// @inheritdoc ILoveBank
    function totalSupply() external view returns (uint256) {
        return _issued - _burned;
    }

    /// @inheritdoc ILoveBank
    function balanceOf(address account) external view returns (uint256) {
        return uint64(_accounts[account]);
    }

    /// @inheritdoc ILoveBank
    function issued() external view returns (uint256) {
        return _issued;
    }

    /// @inheritdoc ILoveBank
    function burned() external view returns (uint256) {
        return _burned;
    }

    /// @inheritdoc ILoveBank
    function frozen(bytes16 identity) external view returns (bool) {
        return _accounts[accountOf(identity)] & FROZEN != 0;
    }

    /// @inheritdoc ILoveBank
    function parameters() external view returns (uint64 maxIssue, uint64 maxGrant) {
        return (_maxIssue, _maxGrant);
    }

    /// @inheritdoc ILoveBank
    function accountOf(bytes16 identity) public pure returns (address) {
        return address(uint160(uint128(identity)));
    }

    function _clerk() private view returns (uint256 word) {
        word = _standing();
        _require(word, STAFF, COMMUNITY_CLERK);
        _requireKind(word, uint256(1) << COMMUNITY);
    }

    function _resident() private view returns (address) {
        uint256 word = _standing();
        _require(word, SHARING, RESIDENT);
        return accountOf(word.identity());
    }

    function _requireResident(bytes16 identity) private view {
        uint256 row = IIdentityRegistry(IDENTITY_REGISTRY).identityOf(identity);
        if (row.domain() != SHARING || row.status() != ACTIVE) revert NotAResident(identity);
    }

    function _checkAmount(uint64 amount, uint64 maximum) private pure {
        if (amount == 0 || amount > maximum) revert AmountInvalid(amount, maximum);
    }

    function _issue(address to, uint64 amount, bytes32 ref) private {
        _issued += amount;
        if (_issued > type(uint64).max) revert AmountInvalid(_issued, type(uint64).max);
        _accounts[to] += amount;
        _note(address(0), to, amount, ISSUE, ref);
        _remember(ref, address(0), to, amount, ISSUE);
    }

    function _move(address from, address to, uint64 amount, uint8 kind, bytes32 ref) private {
        if (_accounts[from] & FROZEN != 0) revert AccountIsFrozen(bytes16(uint128(uint160(from))));
        _take(from, amount);
        // Every balance is part of what was issued, which fits 64 bits, so this cannot run into the flag.
        if (to != address(0)) _accounts[to] += amount;
        _note(from, to, amount, kind, ref);
    }

    function _take(address from, uint64 amount) private {
        uint256 account = _accounts[from];
        if (uint64(account) < amount) revert InsufficientBalance(from, uint64(account), amount);
        unchecked {
            _accounts[from] = account - amount;
        }
    }

    function _note(address from, address to, uint64 amount, uint8 kind, bytes32 ref) private {
        emit Entry(ref, from, to, amount, kind);
        emit Transfer(from, to, amount);
    }

    function _remember(bytes32 ref, address from, address to, uint64 amount, uint8 kind) private {
        ++_reversible[_entry(ref, from, to, amount, kind)];
    }

    function _entry(bytes32 ref, address from, address to, uint64 amount, uint8 kind) private pure returns (bytes32) {
        return keccak256(abi.encode(ref, from, to, amount, kind));
    }
}
