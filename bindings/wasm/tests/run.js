// The tests of the packed package in a real browser: `cargo xtask test web` builds what they need and runs them.
// NODE_BINARY: chasqui-node. APP: a folder with the sample app, the tarball installed and the app built. PICTURES: where
// screenshots go. An argument: only tests whose name has it.

import { node } from './people.js';
import { runAll } from './stage.js';
import './client.js';
import './tabs.js';
import './keys.js';
import './trouble.js';
import './app.js';

const passed = await runAll(process.argv[2]);
await node.stop();
process.exit(passed ? 0 : 1);
