// What a call does, in the words of the clear-signing descriptors (ERC-7730) kept beside the contracts.
//
// A call is shown only if its calldata is exactly the encoding of the arguments that are shown: decoded, encoded again,
// compared. Whatever has no descriptor, is not a person's to send, or hides anything, cannot be signed here.

import { decodeAbiParameters, encodeAbiParameters, keccak256, parseAbiItem, toBytes } from "viem";
import bundle from "../descriptors.json";
import { Refused } from "./errors.js";
import { render } from "./values.js";

// What residents call: their numbers and digests are there for whoever asks, not in everybody's way.
const OF_RESIDENTS = new Set(["SharingOrders", "LoveBank"]);
const FUNCTIONS = new Map();
const CONTRACTS = {};
for (const descriptor of bundle.descriptors) {
  for (const { address } of descriptor.context.contract.deployments) CONTRACTS[address] = descriptor.metadata.contractName;
  for (const [signature, format] of Object.entries(descriptor.display.formats)) {
    const abi = parseAbiItem(`function ${signature}`);
    if (!showsEverything(abi, format)) throw new Error(`${signature}: an argument has no field`);
    const selector = keccak256(toBytes(`${abi.name}(${abi.inputs.map(canonicalType).join()})`)).slice(0, 10);
    for (const { address } of descriptor.context.contract.deployments) {
      FUNCTIONS.set(`${address}${selector}`, { abi, format, enums: descriptor.metadata.enums });
    }
  }
}

function canonicalType(input) {
  if (!input.type.startsWith("tuple")) return input.type;
  return `(${input.components.map(canonicalType).join()})${input.type.slice(5)}`;
}

function showsEverything(abi, format) {
  const shown = new Set(format.fields.map((field) => field.path.replace(/\.\[\]$/, "")));
  const leaves = (inputs, prefix) =>
    inputs.flatMap((input) => (input.type === "tuple" ? leaves(input.components, `${prefix}${input.name}.`) : `${prefix}${input.name}`));
  return leaves(abi.inputs, "").every((path) => shown.has(path));
}

// {key, title, fields, foldsIds}: fields are {label, text} or {label, id}; labels and texts are strings or {zh, en}.
export function describe(call, config) {
  return read(call.toHex, call.dataHex, config, "person");
}

// Calls of the same function become one action: what is the same for all is said once, the rest item by item.
export function group(calls) {
  const groups = new Map();
  for (const call of calls) groups.set(call.key, [...(groups.get(call.key) ?? []), call]);
  return [...groups.values()].map((members) => {
    const same = (field) => members.every((member) => member.fields.some((other) => alike(other, field)));
    const common = members[0].fields.filter(same);
    const items = members.map((member) => member.fields.filter((field) => !common.some((other) => alike(other, field))));
    return { title: members[0].title, foldsIds: members[0].foldsIds, common, items };
  });
}

function read(to, data, config, sender) {
  const known = FUNCTIONS.get(`${to}${data.slice(0, 10)}`);
  if (known === undefined || known.format.signer !== sender) throw unreadable();
  const { abi, format, enums } = known;
  const encoded = `0x${data.slice(10)}`;
  let values;
  try {
    values = decodeAbiParameters(abi.inputs, encoded);
    if (encodeAbiParameters(abi.inputs, values) !== encoded) throw new Error("not canonical");
  } catch {
    throw new Refused("sign.call_malformed", "有一项操作的数据不规范，不能签名。", "The data of an action is not in its one proper form.");
  }
  const named = Object.fromEntries(abi.inputs.map((input, i) => [input.name, values[i]]));
  const context = { organisations: config.organisations, contracts: CONTRACTS, enums };
  const fields = format.fields.flatMap((field) => {
    const value = lookUp(field.path, named);
    if (field.format === "shelian.call") {
      // The call inside a proposal: only what a vote can do, and no proposal inside a proposal.
      const inner = read(named[field.params.target].toLowerCase(), value, config, "vote");
      return [{ label: field.label, text: inner.title }, ...inner.fields];
    }
    return [{ label: field.label, ...render(field, value, context) }];
  });
  return { key: `${to}${abi.name}`, title: format.intent, fields, foldsIds: OF_RESIDENTS.has(CONTRACTS[to]) };
}

function lookUp(path, named) {
  let value = named;
  for (const name of path.replace(/\.\[\]$/, "").split(".")) {
    if (!Object.hasOwn(value, name)) throw unreadable();
    value = value[name];
  }
  return value;
}

function alike(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

function unreadable() {
  return new Refused("sign.no_descriptor", "有一项操作没有可读的说明，不能在这里签名。", "An action has no readable description and cannot be signed here.");
}
