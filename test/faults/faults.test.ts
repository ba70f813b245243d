import { keepsPromises } from './random-run.ts';

/*
 * G1–G8, G10: every promise is kept under whatever faults the seed brings.
 */

keepsPromises('two nodes and Redis', '--minutes', '0.5', '--messages', '3000');
keepsPromises('embedded', '--minutes', '0.4', '--messages', '2600', '--embedded');
