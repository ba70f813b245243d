import { keepsPromises } from './random-run.ts';

/*
 * G1–G8, G10: every promise is kept under whatever faults the seed brings.
 */

keepsPromises('two nodes and Redis', '--minutes', '0.8', '--messages', '4800');
keepsPromises('embedded', '--minutes', '0.5', '--messages', '3200', '--embedded');
