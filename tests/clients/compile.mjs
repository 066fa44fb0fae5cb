// Prints {abi, bytecode} of Sample.sol. `node compile.mjs > sample.json` after a change; a test compares the two.
import { readFileSync } from 'node:fs'
import solc from 'solc'

const content = readFileSync(new URL('Sample.sol', import.meta.url), 'utf8')
const settings = {
  evmVersion: 'cancun',
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: 'none' },
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
}
const input = { language: 'Solidity', sources: { 'Sample.sol': { content } }, settings }
const output = JSON.parse(solc.compile(JSON.stringify(input)))
const errors = (output.errors ?? []).filter((error) => error.severity === 'error')
if (errors.length) throw new Error(errors.map((error) => error.formattedMessage).join('\n'))
const { abi, evm } = output.contracts['Sample.sol'].Sample
console.log(JSON.stringify({ abi, bytecode: '0x' + evm.bytecode.object }, null, 1))
