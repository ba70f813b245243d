import { keepsPromises } from './random-run.ts';

/*
 * G1–G8, G10: every promise is kept under whatever faults the seed brings.
 */

keepsPromises('two nodes and Redis', '--minutes', '1.2', '--messages', '7200');
keepsPromises('embedded', '--minutes', '0.7', '--messages', '4400', '--embedded');
