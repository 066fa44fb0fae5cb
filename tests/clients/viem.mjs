// viem, unmodified: deploy, send, receipts, logs, filters, subscriptions, reverts, blocks of 0x49 transactions.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createPublicClient, createWalletClient, decodeEventLog, defineChain, http, webSocket } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'

const given = JSON.parse(readFileSync(0, 'utf8'))
const { abi, bytecode } = given
const chain = defineChain({
  id: given.chainId,
  name: 'Shelian',
  nativeCurrency: { name: 'none', symbol: 'NONE', decimals: 18 },
  rpcUrls: { default: { http: [given.http] } },
})
const account = privateKeyToAccount(given.key)
const reader = createPublicClient({ chain, transport: http(), pollingInterval: 50 })
const wallet = createWalletClient({ account, chain, transport: http() })
const batching = createPublicClient({ chain, transport: http(given.http, { batch: true }) })
const live = createPublicClient({ chain, transport: webSocket(given.ws) })
const other = '0x0000000000000000000000000000000000001111'

// Deploy, as any wallet would: nonce, fees and gas are asked for.
let hash = await wallet.deployContract({ abi, bytecode })
const deployed = await reader.waitForTransactionReceipt({ hash })
assert.equal(deployed.status, 'success')
assert.equal(deployed.effectiveGasPrice, 0n)
const address = deployed.contractAddress
assert.equal(await reader.getCode({ address }).then((code) => code.length > 100), true)

// Filters and subscriptions see the next transfer.
const filter = await reader.createContractEventFilter({ abi, address, eventName: 'Transfer' })
const blockFilter = await reader.createBlockFilter()
const polled = [], pushed = [], heads = []
const stops = [
  reader.watchContractEvent({ abi, address, eventName: 'Transfer', onLogs: (logs) => polled.push(...logs) }),
  live.watchContractEvent({ abi, address, eventName: 'Transfer', onLogs: (logs) => pushed.push(...logs) }),
  live.watchBlocks({ onBlock: (block) => heads.push(block) }),
]
await new Promise((done) => setTimeout(done, 300))
hash = await wallet.writeContract({ abi, address, functionName: 'transfer', args: [other, 5n] })
const receipt = await reader.waitForTransactionReceipt({ hash })
assert.equal(receipt.status, 'success')
assert.equal(receipt.type, 'eip1559')
const { args } = decodeEventLog({ abi, ...receipt.logs[0] })
assert.equal(args.from, account.address)
assert.equal(args.to, other)
assert.equal(args.value, 5n)
assert.equal((await reader.getFilterChanges({ filter })).length, 1)
assert.ok((await reader.getFilterChanges({ filter: blockFilter })).includes(receipt.blockHash))
for (let turn = 0; turn < 100 && !(polled.length && pushed.length && heads.length); turn++)
  await new Promise((done) => setTimeout(done, 50))
assert.equal(polled.length, 1)
assert.equal(pushed.length, 1)
assert.equal(pushed[0].transactionHash, hash)
assert.ok(heads.length >= 1)
stops.forEach((stop) => stop())

// Reads, batched and at a block.
const balanceOf = (client, blockNumber) =>
  client.readContract({ abi, address, functionName: 'balanceOf', args: [other], blockNumber })
assert.equal(await balanceOf(reader), 5n)
assert.deepEqual(await Promise.all([balanceOf(batching), batching.getBlockNumber().then((n) => n > 0n)]), [5n, true])
assert.equal(await balanceOf(reader, receipt.blockNumber - 1n), 0n)
assert.equal((await reader.getContractEvents({ abi, address, eventName: 'Transfer', fromBlock: 0n })).length, 2)
assert.equal((await reader.getProof({ address, storageKeys: [], blockNumber: receipt.blockNumber })).address.toLowerCase(), address.toLowerCase())
assert.equal(await reader.getGasPrice(), 0n)
assert.equal((await reader.estimateFeesPerGas()).maxFeePerGas, 0n)

// Reverts, decoded by the client.
const reverting = (args) =>
  reader.simulateContract({ account, abi, address, functionName: 'transfer', args }).then(assert.fail, (error) => error.walk((one) => one.name === 'ContractFunctionRevertedError'))
assert.equal((await reverting(['0x0000000000000000000000000000000000000000', 1n])).reason, 'no such address')
assert.equal((await reverting([other, 1n << 200n])).data.errorName, 'NotEnough')

// Blocks that hold 0x49 transactions.
const block = await reader.getBlock({ blockNumber: BigInt(given.imiBlock), includeTransactions: true })
const imi = block.transactions.find((one) => one.hash === given.imiHash)
assert.equal(imi.from.toLowerCase(), given.imiSender)
assert.equal((await reader.getTransaction({ hash: given.imiHash })).to, given.sample)
const imiReceipt = await reader.getTransactionReceipt({ hash: given.imiHash })
assert.equal(imiReceipt.status, 'success')
assert.equal(imiReceipt.logs.length, 2)

// EIP-7966: one round trip.
const request = await wallet.prepareTransactionRequest({ to: address, data: '0xa0712d68' + '1'.padStart(64, '0') })
const synced = await reader.request({ method: 'eth_sendRawTransactionSync', params: [await wallet.signTransaction(request)] })
assert.equal(synced.status, '0x1')
console.log(JSON.stringify({ imiType: imi.typeHex ?? imi.type, height: Number(receipt.blockNumber) }))
process.exit(0)
