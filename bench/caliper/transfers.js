'use strict';

// Caliper's workload: ERC-20 transfers of the token that Caliper has deployed, each to an address nobody used.
// Worker 0 gives every worker its tokens before the first round, for the deployer holds them all.

const { WorkloadModuleBase } = require('@hyperledger/caliper-core');

const POINTS = '1000000000000';
const PATIENCE_MS = 60000;
const POLL_MS = 100;

class Transfers extends WorkloadModuleBase {
    async initializeWorkloadModule(workerIndex, totalWorkers, roundIndex, roundArguments, sutAdapter, sutContext) {
        await super.initializeWorkloadModule(workerIndex, totalWorkers, roundIndex, roundArguments, sutAdapter, sutContext);
        this.sent = 0;
        const token = sutContext.contracts.token.contract;
        const { workers } = roundArguments;
        if (workerIndex === 0 && roundIndex === 0) {
            const deployer = sutContext.contractDeployerAddress;
            sutContext.web3.eth.accounts.wallet.add(sutContext.contractDeployerAddressPrivateKey);
            for (const worker of workers.slice(0, totalWorkers)) {
                await token.methods.transfer(worker, POINTS).send({ from: deployer, gas: 120000, gasPrice: sutContext.gasPrice });
            }
        }
        const deadline = Date.now() + PATIENCE_MS;
        while (await token.methods.balanceOf(workers[workerIndex]).call() === '0') {
            if (Date.now() > deadline) {
                throw new Error(`worker ${workerIndex} was given no tokens`);
            }
            await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        }
    }

    async submitTransaction() {
        const to = this.sutContext.web3.utils
            .keccak256(`caliper ${this.roundIndex} ${this.workerIndex} ${this.sent++}`)
            .slice(0, 42);
        await this.sutAdapter.sendRequests({ contract: 'token', verb: 'transfer', args: [to, '1'] });
    }
}

module.exports.createWorkloadModule = () => new Transfers();
