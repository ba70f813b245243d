import type { ReactNode } from 'react';

type IconProps = { readonly size?: number | undefined };

/** Decorative: its user says the meaning in words. */
function Icon({ size = 20, children }: IconProps & { readonly children: ReactNode }) {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.9"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const SearchIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <circle cx="11" cy="11" r="6.5" />
    <path d="m16 16 4 4" />
  </Icon>
);
export const SettingsIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="M4 7h9M17 7h3M4 17h3M11 17h9" />
    <circle cx="15" cy="7" r="2.2" />
    <circle cx="9" cy="17" r="2.2" />
  </Icon>
);
export const BackIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="m14.5 5-7 7 7 7" />
  </Icon>
);
export const CloseIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="m6 6 12 12M18 6 6 18" />
  </Icon>
);
export const SendIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="M12 19.5v-15M5.5 11 12 4.5l6.5 6.5" />
  </Icon>
);
export const DownIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="M12 4.5v15M5.5 13l6.5 6.5 6.5-6.5" />
  </Icon>
);
export const ClockIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <circle cx="12" cy="12" r="8" />
    <path d="M12 7.5V12l3 2" />
  </Icon>
);
export const SentIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="m5.5 12.5 4.5 4.5 8.5-10" />
  </Icon>
);
export const ReadIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="m1.5 12.5 4.5 4.5 8.5-10M12.5 15.7l1.5 1.3 8.5-10" />
  </Icon>
);
export const AlertIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <circle cx="12" cy="12" r="8.5" />
    <path d="M12 7.5v5.5M12 16.3v.1" />
  </Icon>
);
export const EyeIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z" />
    <circle cx="12" cy="12" r="2.8" />
  </Icon>
);
export const EyeOffIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z" />
    <path d="m4.5 19.5 15-15" />
  </Icon>
);
export const BellIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <path d="M6.5 16.5V11a5.5 5.5 0 0 1 11 0v5.5l1.5 1H5l1.5-1ZM10 20.3a2.2 2.2 0 0 0 4 0" />
  </Icon>
);
export const CopyIcon = ({ size }: IconProps) => (
  <Icon size={size}>
    <rect x="8.5" y="8.5" width="11" height="11" rx="2" />
    <path d="M15.5 8.5v-2a2 2 0 0 0-2-2h-7a2 2 0 0 0-2 2v7a2 2 0 0 0 2 2h2" />
  </Icon>
);

/** The product's logo. */
export function Mark({ size = 40 }: IconProps) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      <rect className="mark-field" width="64" height="64" rx="15" />
      <path
        className="mark-bubble"
        d="M18 17h28a6 6 0 0 1 6 6v15a6 6 0 0 1-6 6H31l-9.3 7.4A1 1 0 0 1 20 50.6V44h-2a6 6 0 0 1-6-6V23a6 6 0 0 1 6-6Z"
      />
      <path className="mark-lines" d="M22 27h20M22 34h12" strokeWidth="3.6" strokeLinecap="round" />
    </svg>
  );
}

/** Two bubbles, for places with nothing to show yet. */
export function EmptyPicture() {
  return (
    <svg
      className="empty-picture"
      width="132"
      height="96"
      viewBox="0 0 132 96"
      aria-hidden="true"
      focusable="false"
    >
      <path
        className="empty-back"
        d="M14 8h62a10 10 0 0 1 10 10v26a10 10 0 0 1-10 10H34L20 65.5a1.2 1.2 0 0 1-2-.9V54h-4A10 10 0 0 1 4 44V18A10 10 0 0 1 14 8Z"
      />
      <path
        className="empty-front"
        d="M118 36H62a10 10 0 0 0-10 10v22a10 10 0 0 0 10 10h38l13 10.600a1.200 1.200 0 0 0 2-.9V78h3a10 10 0 0 0 10-10V46a10 10 0 0 0-10-10Z"
      />
      <path className="empty-lines" d="M66 52h46M66 63h28" strokeWidth="4" strokeLinecap="round" />
    </svg>
  );
}
