// What a call does, in the words of the clear-signing descriptors (ERC-7730) kept beside the contracts.
//
// A call is shown only if its calldata is exactly the encoding of the arguments that are shown: decoded, encoded again,
// compared. Whatever has no descriptor, or hides anything, cannot be signed here.

import { decodeAbiParameters, encodeAbiParameters, keccak256, parseAbiItem, toBytes, toHex as viemHex } from "viem";
import bundle from "../descriptors.json";
import { toHex } from "./bytes.js";
import { dateTime } from "./dom.js";
import { Refused } from "./errors.js";

const FUNCTIONS = new Map();
for (const descriptor of bundle.descriptors) {
  for (const [signature, format] of Object.entries(descriptor.display.formats)) {
    const abi = parseAbiItem(`function ${signature}`);
    const selector = keccak256(toBytes(`${abi.name}(${abi.inputs.map(canonicalType).join()})`)).slice(0, 10);
    for (const deployment of descriptor.context.contract.deployments) {
      FUNCTIONS.set(`${deployment.address.toLowerCase()}${selector}`, { abi, format, descriptor });
    }
  }
}

function canonicalType(input) {
  if (!input.type.startsWith("tuple")) return input.type;
  return `(${input.components.map(canonicalType).join()})${input.type.slice(5)}`;
}

// {key, title, fields}: fields are {label, text} or {label, id}; texts are strings or {zh, en}.
export function describe(call, config) {
  const known = FUNCTIONS.get(`${call.toHex}${call.dataHex.slice(0, 10)}`);
  if (known === undefined) {
    throw new Refused("sign.no_descriptor", "有一项操作没有可读的说明，不能在这里签名。", "An action has no readable description and cannot be signed here.");
  }
  const { abi, format, descriptor } = known;
  let values;
  try {
    values = decodeAbiParameters(abi.inputs, `0x${call.dataHex.slice(10)}`);
    if (encodeAbiParameters(abi.inputs, values) !== `0x${call.dataHex.slice(10)}`) throw new Error("not canonical");
  } catch {
    throw new Refused("sign.call_malformed", "有一项操作的数据不规范，不能签名。", "The data of an action is not in its one proper form.");
  }
  const named = Object.fromEntries(abi.inputs.map((input, i) => [input.name, values[i]]));
  const fields = format.fields.flatMap((field) => show(field, named, { config, descriptor }));
  return { key: `${call.toHex}${abi.name}`, title: format.intent, fields };
}

// Calls of the same function become one action: what is the same for all is said once, the rest item by item.
export function group(calls) {
  const groups = new Map();
  for (const call of calls) groups.set(call.key, [...(groups.get(call.key) ?? []), call]);
  return [...groups.values()].map((members) => {
    const same = (field) => members.every((member) => member.fields.some((other) => alike(other, field)));
    const common = members[0].fields.filter(same);
    const items = members.map((member) => member.fields.filter((field) => !common.some((other) => alike(other, field))));
    return { title: members[0].title, common, items };
  });
}

function alike(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
