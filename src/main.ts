import cluster from 'node:cluster';
import { checkRuntime } from './config/runtime.ts';

checkRuntime();
// Imported late: the rest needs the Node version that was just checked.
if (cluster.isPrimary) {
  const { startNode } = await import('./app/node.ts');
  await startNode(process.env);
} else {
  const { startWorker } = await import('./app/worker.ts');
  await startWorker(process.env);
}
