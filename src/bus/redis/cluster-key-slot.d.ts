/** The package comes without types. */
declare module 'cluster-key-slot' {
  /** The slot of a key or a channel, by its hash tag if it has one. */
  function slotOf(key: string): number;
  export = slotOf;
}
