// The bytes of the 0x49 transaction: 0x49 || rlp([chain_id, nonce, valid_until, gas_limit, calls, scheme, public_key, signature]).

import { keccak256, toRlp } from "viem";
import { concat, fromHex } from "./bytes.js";
import { Refused } from "./errors.js";

const TYPE = Uint8Array.of(0x49);
const MAX_TRANSACTION = 131_072;

function integer(value) {
  if (value === 0) return new Uint8Array(0);
  const hex = value.toString(16);
  return fromHex("0x" + hex.padStart(hex.length + (hex.length % 2), "0"));
}

function body(request) {
  return [
    integer(request.chainId),
    integer(request.nonce),
    integer(request.validUntil),
    integer(request.gasLimit),
    request.calls.map((call) => [call.to, call.data]),
    integer(request.scheme),
    request.publicKey,
  ];
}

// The 32 bytes that are signed: keccak256 of the body without the signature. It is also the WebAuthn challenge.
export function signingHash(request) {
  return keccak256(concat(TYPE, toRlp(body(request), "bytes")), "bytes");
}

export function signedTransaction(request, signature) {
  const raw = concat(TYPE, toRlp([...body(request), signature], "bytes"));
  if (raw.length > MAX_TRANSACTION) {
    throw new Refused("sign.request_too_large", "请求过大。请分批签名。", "The request is too large. Sign in smaller groups.");
  }
  return raw;
}

export function assertionSignature(authenticatorData, clientData, signature) {
  return toRlp([authenticatorData, clientData, signature], "bytes");
}

// keccak256(scheme || public key), last 20 bytes.
export function senderAddress(scheme, publicKey) {
  return keccak256(concat(Uint8Array.of(scheme), publicKey), "bytes").slice(12);
}
