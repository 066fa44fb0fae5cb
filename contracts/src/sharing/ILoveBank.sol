// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "../access/IAccess.sol";
import {ICountersigned} from "../access/ICountersigned.sol";

/// @title LoveBank 爱心银行: points in double entry
/// @notice Accounts are address(uint160(uint128(identity))); the escrow's account is SharingOrders, the community fund's this
/// contract; issue comes from and burning goes to address 0. issued - burned = sum of all balances.
/// Reads like an ERC-20 token; nobody can move points freely.
interface ILoveBank is IAccess, ICountersigned {
    /// @notice kind: 1 issue, 2 burn, 3 hold in escrow, 4 pay for an order, 5 refund, 6 donation, 7 grant, 8 reversal.
    event Entry(bytes32 indexed ref, address indexed from, address indexed to, uint64 amount, uint8 kind);
    /// @notice ERC-20's event beside every entry.
    event Transfer(address indexed from, address indexed to, uint256 value);
    event AccountFrozen(bytes16 indexed identity, bytes16 by, bytes32 reason);
    event AccountUnfrozen(bytes16 indexed identity, bytes16 by, bytes32 reason);
    event ParametersSet(uint64 maxIssue, uint64 maxGrant);

    /// @notice Points move by orders, donations and grants only.
    error NoFreeTransfer();
    error AmountInvalid(uint256 got, uint256 maximum);
    error InsufficientBalance(address account, uint256 got, uint256 required);
    error AccountIsFrozen(bytes16 identity);
    error AccountNotFrozen(bytes16 identity);
    error NotAResident(bytes16 identity);
    /// @notice There is no such entry left that could be reversed.
    error NotReversible(bytes32 ref, address from, address to, uint64 amount, uint8 kind);

    /// @notice Two community clerks issue points to a resident (welfare work outside the orders).
    function issue(bytes16 identity, uint64 amount, bytes32 ref) external;
    /// @notice Two community clerks issue points to the community fund.
    function issueToFund(uint64 amount, bytes32 ref) external;
    /// @notice A resident gives points to the community fund.
    function donate(uint64 amount, bytes32 ref) external;
    /// @notice Two approvers of the community grant points from the fund to a resident in hardship.
    function grant(bytes16 identity, uint64 amount, bytes32 ref) external;
    /// @notice A resident redeems own points for something the community gives; they are burned.
    function redeem(uint64 amount, bytes32 ref) external;
    /// @notice Two community clerks burn points of the fund.
    function burnFromFund(uint64 amount, bytes32 ref) external;
    /// @notice One community clerk stops everything going out of an account; `reason` is a commitment.
    function freeze(bytes16 identity, bytes32 reason) external;
    /// @notice Two community clerks lift a freeze.
    function unfreeze(bytes16 identity, bytes32 reason) external;
    /// @notice Two community clerks undo an issue, payment, donation or grant by a reversing entry, once for each entry.
    function reverseEntry(bytes32 ref, address from, address to, uint64 amount, uint8 kind) external;
    /// @notice By vote on points, or at genesis: the most points of one issue and of one grant.
    function setParameters(uint64 maxIssue, uint64 maxGrant) external;

    /// @notice SharingOrders only: moves points of a requester into escrow for an order.
    function hold(bytes32 order, bytes16 requester, uint64 amount) external;
    /// @notice SharingOrders only: pays `paid` to the provider and `refunded` back to the requester out of the escrow.
    function settle(bytes32 order, bytes16 provider, uint64 paid, bytes16 requester, uint64 refunded) external;

    function name() external pure returns (string memory);
    function symbol() external pure returns (string memory);
    function decimals() external pure returns (uint8);
    function totalSupply() external view returns (uint256);
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external pure returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function approve(address spender, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
    function issued() external view returns (uint256);
    function burned() external view returns (uint256);
    function frozen(bytes16 identity) external view returns (bool);
    function parameters() external view returns (uint64 maxIssue, uint64 maxGrant);
    function accountOf(bytes16 identity) external pure returns (address);
}
