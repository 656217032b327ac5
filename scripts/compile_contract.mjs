// Compiles contracts/CheckpointAnchor.sol with solc from npm (WebAssembly; devDependencies) into the JSON
// that the package carries: interface and bytecode. The result is committed, so that who anchors needs no
// compiler; a test compiles again and compares. Usage: node scripts/compile_contract.mjs [--print]
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import solc from 'solc';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const name = 'CheckpointAnchor';
const target = join(root, 'provenance', 'client', 'checkpoint_anchor.json');

const input = {
  language: 'Solidity',
  sources: { [`${name}.sol`]: { content: readFileSync(join(root, 'contracts', `${name}.sol`), 'utf8') } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: 'paris', // no PUSH0: it runs on chains that follow the newest rules late
    metadata: { appendCBOR: false, bytecodeHash: 'none' }, // the same source gives the same bytes
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const problems = output.errors ?? [];
for (const problem of problems) process.stderr.write(problem.formattedMessage);
if (problems.length > 0) process.exit(1);
const compiled = output.contracts[`${name}.sol`][name];
const text = `${JSON.stringify(
  { compiler: solc.version(), abi: compiled.abi, bytecode: `0x${compiled.evm.bytecode.object}` },
  null,
  1,
)}\n`;
if (process.argv.includes('--print')) process.stdout.write(text);
else writeFileSync(target, text);
