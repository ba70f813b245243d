import cluster from 'node:cluster';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { COMPILE_CACHE, checkRuntime } from './config/runtime.ts';

// Whatever this process and its workers make, the database first, holds secrets: it is for their own user alone.
process.umask(0o077);
// Node would open its debugger, in which every user of this machine may read them: elsewhere, the signal has a log opened anew.
process.on('SIGUSR1', () => {});
checkRuntime();
enableCompileCache(COMPILE_CACHE);
// Imported late: the rest needs the Node version that was just checked.
const [command, file, ...more] = process.argv.slice(2);
if (cluster.isWorker) {
  const { startWorker } = await import('./app/worker.ts');
  await startWorker(process.env);
  // Now, and not at the end of the process: whoever takes the place of one that was killed starts as quickly.
  flushCompileCache();
} else if (command === undefined) {
  const { startNode } = await import('./app/node.ts');
  await startNode(process.env);
  flushCompileCache();
} else if (more.length > 0) {
  process.stderr.write(`parley: ${command} takes one file: a path with a space in it is put in quotes.\n`);
  process.exit(1);
} else if (command === 'backup') {
  const { backUp } = await import('./app/commands/backup.ts');
  await backUp(process.env, file);
} else if (command === 'restore') {
  const { restore } = await import('./app/commands/restore.ts');
  await restore(process.env, file);
} else {
  process.stderr.write(`parley: there is no command '${command}': backup, restore, or none to start.\n`);
  process.exit(1);
}
