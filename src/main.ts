import cluster from 'node:cluster';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { COMPILE_CACHE, checkRuntime } from './config/runtime.ts';

// Everything that this process and its workers create, first of all the database, holds secrets: only their own user may read it.
process.umask(0o077);
// By default, SIGUSR1 opens Node's debugger, where every user of this machine could read those secrets. Operators may send it,
// since it makes other servers reopen their log.
process.on('SIGUSR1', () => {});
checkRuntime();
enableCompileCache(COMPILE_CACHE);
// Imported late, because the rest needs the Node version that was just checked.
const [command, file, ...more] = process.argv.slice(2);
if (cluster.isWorker) {
  const { startWorker } = await import('./app/worker.ts');
  await startWorker(process.env);
  // Flushed now, not at exit, so that the successor of a killed process starts as quickly.
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
