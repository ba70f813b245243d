/**
 * A stored message as the text of its frame (rule M2), in the field order of the basic contract. Built by hand, since it is built
 * for every message, and only the texts need escaping.
 */
export function messageFrameText(
  id: number,
  from: string,
  to: string,
  text: string,
  timestamp: string,
  clientId: string | null,
): string {
  const client = clientId === null ? '' : `,"client_id":${JSON.stringify(clientId)}`;
  return `{"from":${JSON.stringify(from)},"to":${JSON.stringify(to)},"message":${JSON.stringify(text)},"type":"message","id":${id},"timestamp":${JSON.stringify(timestamp)}${client}}`;
}

/** The same frame as an answer to a repeated send (rule M3). */
export const asRepeat = (frame: string): string => `${frame.slice(0, -1)},"repeat":true}`;
