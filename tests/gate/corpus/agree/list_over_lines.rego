package swiftdeploy.trial

decision := concat("",
  [
 "a",
  "b",
 ],
)
