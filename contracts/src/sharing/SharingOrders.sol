// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Access} from "../access/Access.sol";
import {
    COMMUNITY,
    COMMUNITY_CLERK,
    LOVE_BANK,
    RESIDENT,
    SERVICE,
    SERVICES,
    SHARING,
    STAFF
} from "../access/Constants.sol";
import {Standing} from "../access/Standing.sol";
import {ILoveBank} from "./ILoveBank.sol";
import {ISharingOrders} from "./ISharingOrders.sol";

/// @title SharingOrders at its fixed address; it is the escrow's account in LoveBank
contract SharingOrders is Access, ISharingOrders {
    using Standing for uint256;

    uint8 internal constant PUBLISHED = 1;
    uint8 internal constant ACCEPTED = 2;
    uint8 internal constant CONFIRMED = 3;
    uint8 internal constant IN_SERVICE = 4;
    uint8 internal constant FINISHED = 5;
    uint8 internal constant COMPLETED = 6;
    uint8 internal constant RATED = 7;
    uint8 internal constant CANCELLED = 8;
    uint8 internal constant NO_SHOW = 9;
    uint8 internal constant DISPUTED = 10;
    uint8 internal constant ARBITRATED = 11;

    uint256 internal constant FLAGS_SHIFT = 72;
    uint256 internal constant REQUESTER_IN = 1;
    uint256 internal constant PROVIDER_IN = 2;
    uint256 internal constant REQUESTER_RATED = 4;
    uint256 internal constant PROVIDER_RATED = 8;
    uint256 internal constant OFFER = 16;

    uint8 internal constant STARS = 5;
    uint16 internal constant MAXIMUM_WEIGHT = 10_000;
    uint32 internal constant MAXIMUM_AMOUNT = 1_000_000;

    /// @dev order => state 8 bits | kind 16 at 8 | units 16 at 24 | amount 32 at 40 | flags 8 at 72 | starts at 48 at 80 | changed at 48 at 128
    mapping(bytes32 => uint256) private _orders;
    /// @dev order => requester 128 bits | provider 128
    mapping(bytes32 => uint256) private _parties;
    mapping(uint16 => uint16) private _weights;
    Parameters private _parameters;

    /// @inheritdoc ISharingOrders
    function publish(bytes32 order, bool offer, uint16 kind, uint16 units, uint48 startAt, bytes32 commitment) external {
        bytes16 own = _resident();
        if (order == 0) revert OrderIdInvalid(order);
        if (_orders[order] != 0) revert OrderExists(order);
        uint256 weight = _weights[kind];
        if (weight == 0) revert KindUnknown(kind);
        uint256 amount = (uint256(units) * weight + 50) / 100;
        uint256 maximum = _parameters.maxAmount;
        if (amount == 0 || amount > maximum) revert AmountInvalid(amount, maximum);
        _parties[order] = offer ? uint256(uint128(own)) << 128 : uint128(own);
        _orders[order] = uint256(PUBLISHED) | uint256(kind) << 8 | uint256(units) << 24 | amount << 40
            | (offer ? OFFER << FLAGS_SHIFT : 0) | uint256(startAt) << 80 | block.timestamp << 128;
        emit OrderPublished(order, own, kind, offer, units, uint32(amount), startAt, commitment);
    }

    /// @inheritdoc ISharingOrders
    function accept(bytes32 order) external {
        bytes16 own = _resident();
        uint256 row = _orderIn(order, PUBLISHED);
        uint256 parties = _parties[order];
        bool offer = row >> FLAGS_SHIFT & OFFER != 0;
        bytes16 publisher = bytes16(uint128(offer ? parties >> 128 : parties));
        if (publisher == own) revert OwnOrder(own);
        _parties[order] = parties | (offer ? uint128(own) : uint256(uint128(own)) << 128);
        _orders[order] = _moved(row, ACCEPTED);
        emit OrderAccepted(order, own);
    }

    /// @inheritdoc ISharingOrders
    function confirm(bytes32 order) external {
        bytes16 own = _resident();
        uint256 row = _orderIn(order, ACCEPTED);
        (bytes16 requester, bytes16 provider) = _partiesOf(order);
        if (own != requester) revert NotParty(order, own);
        _orders[order] = _moved(row, CONFIRMED);
        uint32 amount = uint32(row >> 40);
        ILoveBank(LOVE_BANK).hold(order, requester, amount);
        emit OrderConfirmed(order, requester, provider, amount);
    }

    /// @inheritdoc ISharingOrders
    function checkIn(bytes32 order, bytes32 place) external {
        bytes16 own = _resident();
        uint256 row = _orderIn(order, CONFIRMED);
        uint256 flag = _side(order, own, REQUESTER_IN, PROVIDER_IN) << FLAGS_SHIFT;
        if (row & flag != 0) revert AlreadyCheckedIn(order, own);
        row |= flag;
        emit CheckedIn(order, own, place);
        if (row >> FLAGS_SHIFT & (REQUESTER_IN | PROVIDER_IN) == REQUESTER_IN | PROVIDER_IN) {
            row = _moved(row, IN_SERVICE);
            emit ServiceStarted(order);
        }
        _orders[order] = row;
    }

    /// @inheritdoc ISharingOrders
    function finish(bytes32 order) external {
        bytes16 own = _resident();
        uint256 row = _orderIn(order, IN_SERVICE);
        (, bytes16 provider) = _partiesOf(order);
        if (own != provider) revert NotParty(order, own);
        _orders[order] = _moved(row, FINISHED);
        emit ServiceFinished(order, own);
    }

    /// @inheritdoc ISharingOrders
    function complete(bytes32 order) external {
        bytes16 own = _resident();
        uint256 row = _orderIn(order, FINISHED);
        (bytes16 requester, bytes16 provider) = _partiesOf(order);
        if (own != requester) revert NotParty(order, own);
        _complete(order, row, requester, provider, false);
    }

    /// @inheritdoc ISharingOrders
    function rate(bytes32 order, uint8 stars, bytes32 commitment) external {
        bytes16 own = _resident();
        if (stars == 0 || stars > STARS) revert StarsInvalid(stars);
        uint256 row = _orders[order];
        if (uint8(row) != COMPLETED && uint8(row) != RATED) row = _orderIn(order, COMPLETED);
        uint256 flag = _side(order, own, REQUESTER_RATED, PROVIDER_RATED) << FLAGS_SHIFT;
        if (row & flag != 0) revert AlreadyRated(order, own);
        _orders[order] = _moved(row | flag, RATED);
        emit OrderRated(order, own, stars, commitment);
    }

    /// @inheritdoc ISharingOrders
    function cancel(bytes32 order) external {
        bytes16 own = _resident();
        uint256 row = _orders[order];
        uint8 state = uint8(row);
        if (state == 0 || state > CONFIRMED) row = _orderIn(order, CONFIRMED);
        uint256 side = _side(order, own, REQUESTER_IN, PROVIDER_IN);
        _orders[order] = _moved(row, CANCELLED);
        uint32 paid;
        uint32 refunded;
        if (state == CONFIRMED) {
            // A requester who backs out when the provider stands at the door pays a share.
            bool late = side == REQUESTER_IN && row >> FLAGS_SHIFT & PROVIDER_IN != 0;
            (paid, refunded) = _settle(order, uint32(row >> 40), late ? _parameters.lateCancelPercent : 0);
        }
        emit OrderCancelled(order, own, state, paid, refunded);
    }

    /// @inheritdoc ISharingOrders
    function noShow(bytes32 order) external {
        bytes16 own = _resident();
        uint256 row = _orderIn(order, CONFIRMED);
        uint256 side = _side(order, own, REQUESTER_IN, PROVIDER_IN);
        // In state CONFIRMED at most one side has checked in.
        if (row >> FLAGS_SHIFT & side == 0) revert NotCheckedIn(order, own);
        uint48 earliest = uint48(row >> 80) + _parameters.noShowAfter;
        if (block.timestamp < earliest) revert TooEarly(order, uint48(block.timestamp), earliest);
        (bytes16 requester, bytes16 provider) = _partiesOf(order);
        bool requesterAbsent = side == PROVIDER_IN;
        _orders[order] = _moved(row, NO_SHOW);
        (uint32 paid, uint32 refunded) = _settle(order, uint32(row >> 40), requesterAbsent ? _parameters.noShowPercent : 0);
        emit NoShowRecorded(order, own, requesterAbsent ? requester : provider, paid, refunded);
    }

    /// @inheritdoc ISharingOrders
    function dispute(bytes32 order, bytes32 reason) external {
        bytes16 own = _resident();
        uint256 row = _orders[order];
        if (uint8(row) < CONFIRMED || uint8(row) > FINISHED) row = _orderIn(order, FINISHED);
        _side(order, own, REQUESTER_IN, PROVIDER_IN);
        _orders[order] = _moved(row, DISPUTED);
        emit OrderDisputed(order, own, reason);
    }

    /// @inheritdoc ISharingOrders
    function arbitrate(bytes32 order, uint8 percent, bytes32 reason) external {
        uint256 word = _standing();
        _require(word, STAFF, COMMUNITY_CLERK);
        _requireKind(word, uint256(1) << COMMUNITY);
        if (percent > 100) revert PercentInvalid(percent);
        uint256 row = _orderIn(order, DISPUTED);
        _orders[order] = _moved(row, ARBITRATED);
        (uint32 paid, uint32 refunded) = _settle(order, uint32(row >> 40), percent);
        emit OrderArbitrated(order, word.identity(), percent, paid, refunded, reason);
    }

    /// @inheritdoc ISharingOrders
    function poke(bytes32 order) external {
        uint256 word = _standing();
        uint256 row = _orderIn(order, FINISHED);
        (bytes16 requester, bytes16 provider) = _partiesOf(order);
        if (word.domain() == SERVICES) {
            _require(word, SERVICES, SERVICE);
        } else if (word.identity() != requester && word.identity() != provider) {
            revert NotParty(order, word.identity());
        }
        uint48 earliest = uint48(row >> 128) + _parameters.autoCompleteAfter;
        if (block.timestamp < earliest) revert TooEarly(order, uint48(block.timestamp), earliest);
        _complete(order, row, requester, provider, true);
    }

    /// @inheritdoc ISharingOrders
    function setKindWeight(uint16 kind, uint16 weight) external governed {
        if (kind == 0 || weight > MAXIMUM_WEIGHT) revert WeightInvalid(kind, weight);
        _weights[kind] = weight;
        emit KindWeightSet(kind, weight);
    }

    /// @inheritdoc ISharingOrders
    function setParameters(Parameters calldata parameters_) external governed {
        if (parameters_.maxAmount == 0 || parameters_.maxAmount > MAXIMUM_AMOUNT) {
            revert AmountInvalid(parameters_.maxAmount, MAXIMUM_AMOUNT);
        }
        if (parameters_.lateCancelPercent > 100) revert PercentInvalid(parameters_.lateCancelPercent);
        if (parameters_.noShowPercent > 100) revert PercentInvalid(parameters_.noShowPercent);
        _parameters = parameters_;
        emit ParametersSet(parameters_);
    }

    /// @inheritdoc ISharingOrders
    function orderOf(bytes32 order)
        external
        view
        returns (
            uint8 state, uint16 kind, uint16 units, uint32 amount, uint48 startAt, uint48 changedAt, bytes16 requester,
            bytes16 provider, bool requesterIn, bool providerIn
        )
    {
        uint256 row = _orders[order];
        (requester, provider) = _partiesOf(order);
        state = uint8(row);
        kind = uint16(row >> 8);
        units = uint16(row >> 24);
        amount = uint32(row >> 40);
        startAt = uint48(row >> 80);
        changedAt = uint48(row >> 128);
        requesterIn = row >> FLAGS_SHIFT & REQUESTER_IN != 0;
        providerIn = row >> FLAGS_SHIFT & PROVIDER_IN != 0;
    }

    /// @inheritdoc ISharingOrders
    function kindWeight(uint16 kind) external view returns (uint16) {
        return _weights[kind];
    }

    /// @inheritdoc ISharingOrders
    function parameters() external view returns (Parameters memory) {
        return _parameters;
    }

    function _resident() private view returns (bytes16) {
        uint256 word = _standing();
        _require(word, SHARING, RESIDENT);
        return word.identity();
    }

    function _orderIn(bytes32 order, uint8 state) private view returns (uint256 row) {
        row = _orders[order];
        if (uint8(row) == state) return row;
        if (row == 0) revert OrderUnknown(order);
        revert OrderState(order, uint8(row), state);
    }

    function _partiesOf(bytes32 order) private view returns (bytes16 requester, bytes16 provider) {
        uint256 parties = _parties[order];
        return (bytes16(uint128(parties)), bytes16(uint128(parties >> 128)));
    }

    /// @dev The first value for the requester, the second for the provider; nobody else.
    function _side(bytes32 order, bytes16 own, uint256 ofRequester, uint256 ofProvider) private view returns (uint256) {
        (bytes16 requester, bytes16 provider) = _partiesOf(order);
        if (own == requester) return ofRequester;
        if (own == provider) return ofProvider;
        revert NotParty(order, own);
    }

    function _moved(uint256 row, uint8 state) private view returns (uint256) {
        return (row & ~(uint256(0xff) | uint256(type(uint48).max) << 128)) | state | block.timestamp << 128;
    }

    function _complete(bytes32 order, uint256 row, bytes16 requester, bytes16 provider, bool automatic) private {
        uint32 amount = uint32(row >> 40);
        _orders[order] = _moved(row, COMPLETED);
        ILoveBank(LOVE_BANK).settle(order, provider, amount, requester, 0);
        emit OrderCompleted(order, requester, provider, amount, automatic);
    }

    /// @dev Ends the escrow of an order: `percent` to the provider, rounded down, the rest back.
    function _settle(bytes32 order, uint32 amount, uint8 percent) private returns (uint32 paid, uint32 refunded) {
        (bytes16 requester, bytes16 provider) = _partiesOf(order);
        paid = uint32(uint256(amount) * percent / 100);
        refunded = amount - paid;
        ILoveBank(LOVE_BANK).settle(order, provider, paid, requester, refunded);
    }
}
