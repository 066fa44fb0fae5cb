// ethers 6, unmodified: deploy, send, receipts, logs, filters, subscriptions, reverts, blocks of 0x49 transactions.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Contract, ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider } from 'ethers'

const given = JSON.parse(readFileSync(0, 'utf8'))
const { abi, bytecode } = given
const provider = new JsonRpcProvider(given.http)
provider.pollingInterval = 50
const wallet = new Wallet(given.key, provider)
const other = '0x0000000000000000000000000000000000002222'
const until = async (condition) => {
  for (let turn = 0; turn < 100 && !condition(); turn++) await new Promise((done) => setTimeout(done, 50))
  assert.ok(condition())
}

assert.equal((await provider.getNetwork()).chainId, BigInt(given.chainId))
const deployed = await new ContractFactory(abi, bytecode, wallet).deploy()
await deployed.waitForDeployment()
const address = await deployed.getAddress()

const live = new WebSocketProvider(given.ws)
const polled = [], pushed = [], heads = []
const watched = new Contract(address, abi, live)
await deployed.on('Transfer', (from, to, value) => polled.push(value))
await watched.on('Transfer', (from, to, value) => pushed.push(value))
await live.on('block', (number) => heads.push(number))
await new Promise((done) => setTimeout(done, 300))

const sent = await deployed.transfer(other, 7n)
const receipt = await sent.wait()
assert.equal(receipt.status, 1)
assert.equal(receipt.gasPrice, 0n)
assert.equal(deployed.interface.parseLog(receipt.logs[0]).args.value, 7n)
await until(() => polled.length && pushed.length && heads.length)
assert.deepEqual([polled, pushed], [[7n], [7n]])
await deployed.removeAllListeners()

assert.equal(await deployed.balanceOf(other), 7n)
assert.equal(await deployed.balanceOf(other, { blockTag: receipt.blockNumber - 1 }), 0n)
assert.equal((await deployed.queryFilter('Transfer', 0)).length, 2)
assert.equal((await deployed.queryFilter(deployed.filters.Transfer(null, other), 0)).length, 1)
assert.equal((await provider.getFeeData()).gasPrice, 0n)

const failure = await deployed.transfer(other, 1n << 200n).then(assert.fail, (error) => error)
assert.equal(failure.code, 'CALL_EXCEPTION')
assert.equal(deployed.interface.parseError(failure.data).name, 'NotEnough')
const reason = await deployed.transfer.staticCall('0x0000000000000000000000000000000000000000', 1n).then(assert.fail, (error) => error)
assert.equal(reason.reason, 'no such address')

// Blocks that hold 0x49 transactions: prefetched, so every transaction is parsed.
const block = await provider.getBlock(given.imiBlock, true)
const imi = block.prefetchedTransactions.find((one) => one.hash === given.imiHash)
assert.equal(imi.type, 0x49)
assert.equal(imi.from.toLowerCase(), given.imiSender)
const imiReceipt = await provider.getTransactionReceipt(given.imiHash)
assert.equal(imiReceipt.type, 0x49)
assert.equal(imiReceipt.logs.length, 2)
assert.equal((await provider.getTransaction(given.imiHash)).to.toLowerCase(), given.sample)
console.log(JSON.stringify({ imiType: imi.type, height: receipt.blockNumber }))
process.exit(0)
