import { keepsPromises, SEED } from './random-run.ts';

/*
 * G1–G8, G10: the same promises where Redis is several servers, which fail, and fail over.
 */

// One of the two in each run, as the seed has it: both would take the time of two.
const form = Number(SEED) % 2 === 0 ? 'cluster' : 'sentinel';
keepsPromises(`Redis as ${form}`, '--minutes', '0.3', '--messages', '1750', '--redis', form);
